/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What virtual machines are made of: the image that all of them boot, their disks, and the files in
 * the rig's folder by which each one's init (tools/rig/vm/init) knows what it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rig/target_conf.h"
#include "tools/rig/vm/vm.h"

#define PATH_TIMEOUT_S 15

const char *vm_disk(const struct rig *rig, char buffer[RIG_PATH_MAX], const char *format, ...)
{
	int used = snprintf(buffer, RIG_PATH_MAX, "%s/%s/", VM_DISKS, rig->name);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(buffer + used, RIG_PATH_MAX - (size_t)used, format, arguments);
	va_end(arguments);
	return buffer;
}

const char *vm_lun_file(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX])
{
	return vm_disk(rig, buffer, "lun%u", lun);
}

/* The unit serial number that targetcli gives the back store. */
const char *vm_lun_serial(unsigned lun, char buffer[RIG_PATH_MAX])
{
	snprintf(buffer, RIG_PATH_MAX, "%08x-6c75-6e6b-6565-706572000000", lun);
	return buffer;
}

/* LIO: NAA 6, the OpenFabrics identifier 001405h, and the serial number's first 25 digits. */
const char *vm_lun_wwid(unsigned lun, char buffer[RIG_PATH_MAX])
{
	snprintf(buffer, RIG_PATH_MAX, "naa.6001405%08x6c756e6b656570657", lun);
	return buffer;
}

/* The nearest folder around our programs that has the agents of services, too. */
const char *vm_tree(void)
{
	static char tree[RIG_PATH_MAX];
	static const char *const signs[] = {"etc/services", "lib/lunkeeper"};
	char *slash;

	if (tree[0])
		return tree;
	snprintf(tree, sizeof(tree), "%s", rig_programs());
	while ((slash = strrchr(tree, '/')) && slash != tree) {
		*slash = 0;
		for (size_t i = 0; i < 2; i++) {
			char path[RIG_PATH_MAX * 2];

			snprintf(path, sizeof(path), "%s/%s", tree, signs[i]);
			if (access(path, X_OK) == 0)
				return tree;
		}
	}
	snprintf(tree, sizeof(tree), "%s", rig_programs());
	return tree;
}

/* tools/rig/vm, or where it is installed. */
static const char *files_scripts(void)
{
	static const char *const places[] = {"../tools/rig/vm", "../../tools/rig/vm",
					     "../lib/lunkeeper/vm", NULL};
	static char folder[RIG_PATH_MAX * 2];

	return rig_find_folder("LUNKEEPER_VM", places, folder);
}

int vm_check(struct rig *rig, const struct rig_options *options)
{
	static const char *const programs[] = {
		"qemu-system-x86_64", "qemu-img", "mmdebstrap", "cpio", "ip", "bridge"};
	char missing[200] = "";

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		char command[64], output[64];
		const char *argv[] = {"sh", "-c", command, NULL};

		snprintf(command, sizeof(command), "command -v %s", programs[i]);
		if (rig_run(argv, NULL, output, sizeof(output)) != 0)
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 " %s", programs[i]);
	}
	if (missing[0])
		return rig_fail(rig, ENOENT,
				"not here:%s; tools/setup vm installs what virtual machines need",
				missing);
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return rig_fail(rig, ENODEV,
				"/dev/net/tun: %s; virtual machines are connected by taps",
				strerror(errno));
	if (!files_scripts())
		return rig_fail(rig, ENOENT,
				"init and image of virtual machines are not found beside %s; set "
				"LUNKEEPER_VM to the folder tools/rig/vm",
				rig_self());
	if (options->luns > RIG_TARGET_LUN_MAX)
		return rig_fail(rig, EINVAL, "at most %d LUNs are expected with --kind vm",
				RIG_TARGET_LUN_MAX);
	rig->user_initiator = options->user_initiator;
	rig->memory_mb = options->memory_mb ? options->memory_mb : VM_MEMORY_MB;
	return 0;
}

int vm_make_image(struct rig *rig, char image[RIG_PATH_MAX])
{
	char command[RIG_PATH_MAX * 3];
	FILE *out;
	int status;

	snprintf(command, sizeof(command), "exec '%s/image'", files_scripts());
	fflush(NULL);
	out = popen(command, "re");
	image[0] = 0;
	if (out && fgets(image, RIG_PATH_MAX, out))
		image[strcspn(image, "\n")] = 0;
	status = out ? pclose(out) : -1;
	if (status || image[0] != '/')
		return rig_fail(rig, EIO,
				"the image of virtual machines cannot be built (%s/image); "
				"tools/setup vm installs what it needs",
				files_scripts());
	return 0;
}

static int __attribute__((format(printf, 4, 5)))
files_write(struct rig *rig, const char *machine, const char *name, const char *format, ...)
{
	char path[RIG_PATH_MAX], *text = NULL;
	va_list arguments;
	int error;

	va_start(arguments, format);
	error = vasprintf(&text, format, arguments) < 0 ? -ENOMEM : 0;
	va_end(arguments);
	if (error)
		return rig_fail(rig, ENOMEM, "out of memory");
	error = rig_write_file(rig, rig_path(rig, path, "%s/%s", machine, name), text);
	free(text);
	return error;
}

/* The texts that the description of the target points at. */
struct files_lio {
	struct rig_target_portal portals[RIG_NETWORKS];
	struct rig_target_lun luns[RIG_TARGET_LUN_MAX];
	struct rig_target_acl acls[RIG_NODES_MAX];
	char names[RIG_TARGET_LUN_MAX][RIG_TARGET_NAME_MAX];
	char devices[RIG_TARGET_LUN_MAX][RIG_PATH_MAX], serials[RIG_TARGET_LUN_MAX][RIG_PATH_MAX];
	char initiators[RIG_NODES_MAX][RIG_PATH_MAX];
};

static void files_describe(const struct rig *rig, struct files_lio *lio)
{
	for (unsigned i = 0; i < rig->lun_count; i++) {
		snprintf(lio->names[i], RIG_TARGET_NAME_MAX, "lun%u", i + 1);
		snprintf(lio->devices[i], RIG_PATH_MAX,
			 "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_lun%u", i + 1);
		lio->luns[i] = (struct rig_target_lun){
			.number = i + 1,
			.name = lio->names[i],
			.device = lio->devices[i],
			.serial = vm_lun_serial(i + 1, lio->serials[i]),
		};
	}
	for (size_t i = 0; i < rig->node_count; i++)
		lio->acls[i].initiator =
			rig_initiator(rig, rig->nodes[i].machine.name, lio->initiators[i]);
	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		char address[16];

		snprintf(lio->portals[i].address, sizeof(lio->portals[i].address), "%s",
			 rig_net_address(0, i, address));
		lio->portals[i].port = RIG_PORT;
	}
}

/* What an administrator would type into targetcli. */
static int files_target(struct rig *rig)
{
	struct files_lio *lio = calloc(1, sizeof(*lio));
	char *text = NULL, message[300];
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int error = lio && out ? 0 : rig_fail(rig, ENOMEM, "out of memory");

	if (!error) {
		const struct rig_target_conf conf = {
			.target = RIG_TARGET_IQN,
			.portals = lio->portals,
			.portal_count = RIG_NETWORKS,
			.luns = lio->luns,
			.lun_count = rig->lun_count,
			.acls = lio->acls,
			.acl_count = rig->node_count,
		};

		files_describe(rig, lio);
		error = rig_target_conf_check(&conf, message, sizeof(message));
		if (error)
			rig_fail(rig, EINVAL, "%s", message);
		else
			rig_target_conf_write_batch(&conf, out);
	}
	if (out)
		fclose(out);
	if (!error)
		error = files_write(rig, "san", "targetcli", "%s", text);
	free(text);
	free(lio);
	return error;
}

static int files_san(struct rig *rig, const struct rig_options *options)
{
	int error = files_target(rig);

	if (!error)
		error = files_write(rig, "san", "luns", "%u\n", rig->lun_count);
	if (!error && options->aptpl_lazy)
		error = files_write(rig, "san", "aptpl-lazy", "\n");
	return error;
}

/* Times: a path that is dead is noticed after 5 s (a NOP-Out every 2 s, 3 s for its answer); what
 * waits on it fails PATH_TIMEOUT_S later, and multipath takes the other path. Longer would keep a
 * deposed node's processes waiting; shorter, and a target that restarts would be an error. */
static int files_node_iscsi(struct rig *rig, const char *node, const struct rig_options *options)
{
	unsigned wait_s =
		options->path_timeout_ms ? (options->path_timeout_ms + 999) / 1000 : PATH_TIMEOUT_S;

	return files_write(rig, node, "iscsid.conf",
			   "node.startup = automatic\n"
			   "node.leading_login = No\n"
			   "node.session.timeo.replacement_timeout = %u\n"
			   "node.conn[0].timeo.login_timeout = 15\n"
			   "node.conn[0].timeo.logout_timeout = 15\n"
			   "node.conn[0].timeo.noop_out_interval = 2\n"
			   "node.conn[0].timeo.noop_out_timeout = 3\n"
			   "node.session.initial_login_retry_max = 4\n"
			   "node.session.scan = auto\n",
			   wait_s);
}

static int files_node(struct rig *rig, const struct rig_machine *machine,
		      const struct rig_options *options, const char *hosts)
{
	char text[RIG_PATH_MAX], address[2][16], *maps = NULL;
	size_t length = 0;
	const char *name = machine->name;
	FILE *out = open_memstream(&maps, &length);
	int error = out ? 0 : rig_fail(rig, ENOMEM, "out of memory");

	for (unsigned lun = 1; !error && lun <= rig->lun_count; lun++)
		fprintf(out, "3%s\n", vm_lun_wwid(lun, text) + strlen("naa."));
	if (out)
		fclose(out);
	if (!error)
		error = files_write(rig, name, "hosts", "127.0.0.1 localhost\n%s", hosts);
	if (!error)
		error = files_write(rig, name, "initiatorname.iscsi", "InitiatorName=%s\n",
				    rig_initiator(rig, name, text));
	if (!error)
		error = files_write(rig, name, "target", "%s\n", RIG_TARGET_IQN);
	if (!error)
		error = files_write(rig, name, "portals", "%s\n%s%s",
				    rig_net_address(0, 0, address[0]),
				    options->portals > 1 ? rig_net_address(0, 1, address[1]) : "",
				    options->portals > 1 ? "\n" : "");
	if (!error)
		error = files_write(rig, name, "maps", "%s", maps);
	if (!error)
		error = files_write(rig, name, "sessions", "%s\n",
				    rig->user_initiator ? "user" : "kernel");
	if (!error)
		error = files_node_iscsi(rig, name, options);
	/* Names by WWID; one path is enough for a map; keys of registrations are LunKeeper's to
	 * tell. */
	if (!error)
		error = files_write(rig, name, "multipath.conf",
				    "defaults {\n\tuser_friendly_names no\n\tfind_multipaths no\n"
				    "\tpolling_interval 2\n\treservation_key file\n}\n"
				    "blacklist {\n\tdevnode \"^vd\"\n}\n"
				    "overrides {\n\tno_path_retry fail\n}\n");
	if (!error && rig->daemons)
		error = files_write(rig, name, "autostart", "\n");
	free(maps);
	return error;
}

/* The image's, and behind it the machines' first processes. */
static int files_initrd(struct rig *rig, const char *image)
{
	char output[1024], initrd[RIG_PATH_MAX], link[RIG_PATH_MAX], kernel[RIG_PATH_MAX + 16];
	const char *argv[] = {
		"sh",
		"-ec",
		"mkdir \"$4.d\"; cp \"$1/init\" \"$4.d/lunkeeper-init\"; "
		"cp \"$2\" \"$4.d/lunkeeper-agent\"; { cat \"$3/initrd\"; cd \"$4.d\"; "
		"find . | cpio --quiet -o -H newc | gzip -1; } >\"$4\"; rm -r \"$4.d\"",
		"-",
		files_scripts(),
		rig_self(),
		image,
		initrd,
		NULL};

	vm_disk(rig, initrd, "initrd");
	if (rig_run(argv, NULL, output, sizeof(output)))
		return rig_fail(rig, EIO, "cannot make %s: %s", initrd, output);
	snprintf(kernel, sizeof(kernel), "%s/vmlinux", image);
	if (symlink(kernel, vm_disk(rig, link, "vmlinux")) < 0)
		return rig_fail(rig, errno, "cannot make %s: %s", link, strerror(errno));
	return 0;
}

static int files_disk(struct rig *rig, const struct rig_machine *machine, const char *image)
{
	char base[RIG_PATH_MAX + 16], disk[RIG_PATH_MAX], output[1024];
	const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-F",
			      "raw",      "-b",     base, disk, NULL};

	snprintf(base, sizeof(base), "%s/root.img", image);
	vm_disk(rig, disk, "%s.qcow2", machine->name);
	if (rig_run(argv, NULL, output, sizeof(output)))
		return rig_fail(rig, EIO, "cannot make %s: %s", disk, output);
	return 0;
}

static char *files_hosts(const struct rig *rig)
{
	char *text = NULL, address[16];
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fprintf(out, "%s san\n", rig_net_address(0, 0, address));
	for (size_t i = 0; i < rig->node_count; i++)
		fprintf(out, "%s %s\n", rig_net_address(rig->nodes[i].machine.number, 0, address),
			rig->nodes[i].machine.name);
	fclose(out);
	return text;
}

int vm_make_files(struct rig *rig, const struct rig_options *options)
{
	char folder[RIG_PATH_MAX], image[RIG_PATH_MAX], *hosts = NULL;
	int error = vm_make_image(rig, image);

	if (error)
		return error;
	/* A rig that was there before, and whose folder somebody removed by hand. */
	vm_disk(rig, folder, "%s", "");
	rig_remove_tree(folder);
	if ((mkdir(VM_DISKS, 0700) < 0 && errno != EEXIST) || mkdir(folder, 0700) < 0)
		return rig_fail(rig, errno, "cannot make %s: %s", folder, strerror(errno));
	error = rig_make_disks(rig, options);
	if (!error)
		error = files_initrd(rig, image);
	if (!error)
		error = files_san(rig, options);
	if (!error)
		error = files_disk(rig, &rig->san, image);
	hosts = files_hosts(rig);
	if (!hosts)
		error = rig_fail(rig, ENOMEM, "out of memory");
	for (size_t i = 0; i < rig->node_count && !error; i++) {
		error = files_disk(rig, &rig->nodes[i].machine, image);
		if (!error)
			error = files_node(rig, &rig->nodes[i].machine, options, hosts);
	}
	free(hosts);
	return error;
}
