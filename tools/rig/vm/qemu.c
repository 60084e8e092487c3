/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The QEMU process of a virtual machine, the two virtiofsd beside it, and QMP.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/rig/vm/vm.h"

#define WORDS_MAX 6144 /* four for each LUN */
#define SHARE_WAIT_MS 10000
#define QMP_WAIT_S 20
#define DEATH_WAIT_MS 10000

/* argv of a program, made of pieces. */
struct words {
	char *list[WORDS_MAX + 1];
	size_t count;
};

static void __attribute__((format(printf, 2, 3))) word(struct words *words, const char *format, ...)
{
	va_list arguments;

	if (words->count == WORDS_MAX)
		return;
	va_start(arguments, format);
	if (vasprintf(&words->list[words->count], format, arguments) < 0)
		words->list[words->count] = NULL;
	va_end(arguments);
	words->count++;
}

static void words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
}

/* Starts a program that outlives this one, in the machine's control group and, if it wants, in the
 * rig's network. */
static int qemu_spawn(struct rig *rig, const struct rig_machine *machine, struct words *words,
		      bool network, const char *log_name, struct rig_process *process)
{
	char path[RIG_PATH_MAX];
	int log, null;
	pid_t pid;

	rig_path(rig, path, "%s/%s", machine->name, log_name);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return rig_fail(rig, errno, "no process: %s", strerror(errno));
	if (pid > 0) {
		rig_process_note(process, pid);
		return 0;
	}
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	rig_cgroup_join(rig, machine->name);
	setsid();
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	if (network && vm_net_enter(rig) < 0) {
		dprintf(STDERR_FILENO, "no network namespace: %s\n", strerror(errno));
		_exit(127);
	}
	close_range(3, ~0u, 0);
	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	execvp(words->list[0], words->list);
	dprintf(STDERR_FILENO, "%s: %s\n", words->list[0], strerror(errno));
	_exit(127);
}

static const char *virtiofsd(void)
{
	static const char *const places[] = {"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"};

	for (size_t i = 0; i < 2; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return "virtiofsd";
}

/* cache: "none" for what both sides write. */
static int qemu_share(struct rig *rig, const struct rig_machine *machine, const char *tag,
		      const char *source, const char *cache)
{
	char socket_path[RIG_PATH_MAX];
	uint64_t end = rig_now_ms() + SHARE_WAIT_MS;
	struct words words = {.count = 0};
	struct rig_process process;
	int error;

	rig_path(rig, socket_path, "%s/fs.%s", machine->name, tag);
	unlink(socket_path);
	word(&words, "%s", virtiofsd());
	word(&words, "--socket-path=%s", socket_path);
	word(&words, "-o");
	word(&words, "source=%s,cache=%s", source, cache);
	word(&words, "--thread-pool-size=2");
	error = qemu_spawn(rig, machine, &words, false, "virtiofsd.log", &process);
	while (!error && access(socket_path, F_OK) < 0) {
		if (rig_now_ms() > end) {
			error = rig_fail(rig, EIO,
					 "virtiofsd does not start; see %s/%s/virtiofsd.log",
					 rig->folder, machine->name);
		} else if (rig_process_lives(&process)) {
			rig_sleep_ms(5);
		} else { /* its forerunner, whose machine has just died, has the lock still */
			rig_sleep_ms(50);
			error = qemu_spawn(rig, machine, &words, false, "virtiofsd.log", &process);
		}
	}
	words_free(&words);
	return error;
}

static void qemu_devices(struct words *words, const struct rig *rig,
			 const struct rig_machine *machine)
{
	static const char *const tags[] = {"host", "rig"};
	char path[RIG_PATH_MAX];

	word(words, "-drive");
	word(words, "file=%s,if=none,id=root,format=qcow2,cache=unsafe",
	     vm_disk(rig, path, "%s.qcow2", machine->name));
	word(words, "-device");
	word(words, "virtio-blk-pci,drive=root");
	for (size_t i = 0; i < 2; i++) {
		word(words, "-chardev");
		word(words, "socket,id=fs%s,path=%s", tags[i],
		     rig_path(rig, path, "%s/fs.%s", machine->name, tags[i]));
		word(words, "-device");
		word(words, "vhost-user-fs-pci,chardev=fs%s,tag=%s", tags[i], tags[i]);
	}
	word(words, "-object");
	word(words, "rng-random,id=rng,filename=/dev/urandom");
	word(words, "-device");
	word(words, "virtio-rng-pci,rng=rng");
	for (unsigned i = 0; i < VM_LINKS; i++) {
		word(words, "-netdev");
		word(words, "tap,id=n%u,ifname=t%u.%u,script=no,downscript=no", i, machine->number,
		     i);
		word(words, "-device");
		word(words,
		     "virtio-net-pci,id=eth%u,netdev=n%u,mac=52:54:00:00:%02x:%02x,romfile=", i, i,
		     i, machine->number);
	}
	if (machine->number)
		return;
	word(words, "-device");
	word(words, "virtio-scsi-pci,id=scsi");
	for (unsigned lun = 1; lun <= rig->lun_count; lun++) {
		word(words, "-drive");
		word(words, "file=%s,if=none,id=lun%u,format=raw,cache=unsafe",
		     vm_lun_file(rig, lun, path), lun);
		word(words, "-device");
		word(words,
		     "scsi-hd,bus=scsi.0,scsi-id=0,lun=%u,drive=lun%u,serial=lun%u,id=disk%u",
		     lun - 1, lun, lun, lun);
	}
}

static void qemu_words(struct words *words, const struct rig *rig,
		       const struct rig_machine *machine)
{
	char path[RIG_PATH_MAX], address[3][16];

	word(words, "qemu-system-x86_64");
	word(words, "-name");
	word(words, "%s/%s", rig->name, machine->name);
	for (size_t i = 0; i < 1; i++) {
		static const char *const fixed[] = {
			"-M",          "q35",        "-cpu",
			"max",         "-accel",     "tcg,thread=multi,tb-size=128",
			"-nodefaults", "-nographic", "-no-user-config",
			NULL};

		for (const char *const *at = fixed; *at; at++)
			word(words, "%s", *at);
	}
	word(words, "-m");
	word(words, "%u", rig->memory_mb);
	word(words, "-object");
	word(words, "memory-backend-memfd,id=memory,size=%uM,share=on", rig->memory_mb);
	word(words, "-numa");
	word(words, "node,memdev=memory");
	word(words, "-kernel");
	word(words, "%s", vm_disk(rig, path, "vmlinux"));
	word(words, "-initrd");
	word(words, "%s", vm_disk(rig, path, "initrd"));
	word(words, "-append");
	word(words,
	     "console=ttyS0 quiet panic=1 net.ifnames=0 lk.name=%s lk.net=%s,%s,%s lk.rig=%s "
	     "lk.tree=%s lk.programs=%s",
	     machine->name, rig_net_address(machine->number, 0, address[0]),
	     rig_net_address(machine->number, 1, address[1]),
	     rig_net_address(machine->number, RIG_NETWORKS, address[2]), rig->folder, vm_tree(),
	     rig_programs());
	word(words, "-chardev");
	word(words, "file,id=console,append=on,path=%s",
	     rig_path(rig, path, "%s/console", machine->name));
	word(words, "-serial");
	word(words, "chardev:console");
	word(words, "-qmp");
	word(words, "unix:%s,server=on,wait=off", rig_path(rig, path, "%s/qmp", machine->name));
	qemu_devices(words, rig, machine);
}

int vm_qemu_start(struct rig *rig, struct rig_machine *machine)
{
	struct words *words = calloc(1, sizeof(*words));
	char path[RIG_PATH_MAX];
	int error;

	if (!words)
		return rig_fail(rig, ENOMEM, "out of memory");
	rig_cgroup_make(rig, machine->name);
	unlink(rig_path(rig, path, "%s/qmp", machine->name));
	unlink(rig_path(rig, path, "%s/boot", machine->name));
	error = qemu_share(rig, machine, "host", vm_tree(), "auto");
	if (!error)
		error = qemu_share(rig, machine, "rig", rig->folder, "none");
	if (!error) {
		qemu_words(words, rig, machine);
		error = qemu_spawn(rig, machine, words, true, "qemu.log", &machine->init);
	}
	words_free(words);
	free(words);
	if (error)
		return error;
	machine->frozen = false;
	memset(machine->unlinked, 0, sizeof(machine->unlinked));
	return rig_save(rig);
}

/* virtiofsd ends by itself when its QEMU has gone. */
int vm_qemu_kill(struct rig *rig, struct rig_machine *machine)
{
	if (!rig_process_lives(&machine->init))
		return 0;
	rig_process_signal(&machine->init, SIGKILL);
	if (!rig_process_wait_gone(&machine->init, DEATH_WAIT_MS))
		return rig_fail(rig, EBUSY, "QEMU of %s (process %d) does not die", machine->name,
				(int)machine->init.pid);
	machine->init = (struct rig_process){0};
	machine->frozen = false;
	return rig_save(rig);
}

static int qmp_open(const struct rig *rig, const struct rig_machine *machine, FILE **link)
{
	struct timeval wait = {.tv_sec = QMP_WAIT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[RIG_PATH_MAX];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	rig_path(rig, path, "%s/qmp", machine->name);
	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return fd < 0 ? -errno : -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    !(*link = fdopen(fd, "r+"))) {
		int error = -errno;

		close(fd);
		return error;
	}
	setvbuf(*link, NULL, _IONBF, 0);
	return 0;
}

/* The next answer; greetings and events are passed over. NULL: none comes. */
static json_t *qmp_answer(FILE *link)
{
	char *line = NULL;
	size_t size = 0;
	json_t *answer = NULL;

	while (!answer && getline(&line, &size, link) > 0) {
		answer = json_loads(line, 0, NULL);
		if (!json_object_get(answer, "return") && !json_object_get(answer, "error")) {
			json_decref(answer);
			answer = NULL;
		}
	}
	free(line);
	return answer;
}

static int qmp_execute(struct rig *rig, const struct rig_machine *machine, FILE *link,
		       const char *command, json_t *arguments)
{
	json_t *order = json_pack("{ss}", "execute", command), *answer = NULL;
	char *text;
	const char *wrong;
	int error = 0;

	if (arguments)
		json_object_set(order, "arguments", arguments);
	text = json_dumps(order, JSON_COMPACT);
	if (text && fprintf(link, "%s\n", text) > 0)
		answer = qmp_answer(link);
	wrong = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
	if (!answer || wrong)
		error = rig_fail(rig, EIO, "QEMU of %s, asked for %s: %s", machine->name, command,
				 wrong ? wrong : "no answer");
	free(text);
	json_decref(order);
	json_decref(answer);
	return error;
}

int vm_qmp(struct rig *rig, const struct rig_machine *machine, const char *command,
	   json_t *arguments)
{
	FILE *link = NULL;
	int error;

	if (!rig_machine_runs(machine)) {
		json_decref(arguments);
		return rig_fail(rig, ESRCH, "%s is off", machine->name);
	}
	error = qmp_open(rig, machine, &link);
	if (error)
		rig_fail(rig, -error, "cannot reach QEMU of %s: %s", machine->name,
			 strerror(-error));
	if (!error)
		error = qmp_execute(rig, machine, link, "qmp_capabilities", NULL);
	if (!error)
		error = qmp_execute(rig, machine, link, command, arguments);
	json_decref(arguments);
	if (link)
		fclose(link);
	return error;
}

int vm_freeze(struct rig *rig, struct rig_machine *machine, bool frozen)
{
	int error = vm_qmp(rig, machine, frozen ? "stop" : "cont", NULL);

	if (error)
		return error;
	machine->frozen = frozen;
	return rig_save(rig);
}

int vm_link(struct rig *rig, struct rig_machine *machine, unsigned network, bool up)
{
	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		char name[16];
		int error;

		if (network != RIG_NETWORKS && network != i)
			continue;
		snprintf(name, sizeof(name), "eth%u", i);
		error = vm_qmp(rig, machine, "set_link",
			       json_pack("{sssb}", "name", name, "up", up));
		if (error)
			return error;
		machine->unlinked[i] = !up;
	}
	return rig_save(rig);
}
