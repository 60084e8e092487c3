/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state folder: what is written down comes back, and what must not be believed is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/core/key.h"
#include "cluster/store/claims.h"
#include "tests/unit/unit.h"

static char folder[128];
static const char *copies; /* NULL: none */
static uv_loop_t loop;
static char message[CLAIMS_MESSAGE_SIZE];

static void begin(void)
{
	snprintf(folder, sizeof(folder), "/tmp/test_claims.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	uv_loop_init(&loop);
	message[0] = '\0';
	copies = NULL;
}

static void end(void)
{
	char command[160];

	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static struct claims *open_as(const char *cluster, uint8_t node)
{
	struct claims_options options = {folder, copies, cluster, node};
	struct claims *state = NULL;

	CU_ASSERT_EQUAL_FATAL(claims_open(&state, &loop, &options, message, sizeof(message)), 0);
	return state;
}

static int open_error(void)
{
	struct claims_options options = {folder, copies, "demo", 1};
	struct claims *state = NULL;
	int error = claims_open(&state, &loop, &options, message, sizeof(message));

	CU_ASSERT_PTR_NULL(state);
	return error;
}

struct trouble {
	int began, ended;
	char text[CLAIMS_MESSAGE_SIZE];
};

static void troubled(const char *text, void *user)
{
	struct trouble *trouble = user;

	trouble->began += text != NULL;
	trouble->ended += text == NULL;
	snprintf(trouble->text, sizeof(trouble->text), "%s", text ? text : "");
}

/* Opens a folder that cannot be used, and leaves in `message` what is told of it. */
static void check_trouble(const char *says)
{
	struct trouble trouble = {0};
	struct claims *state = open_as("demo", 1);

	claims_on_trouble(state, troubled, &trouble);
	CU_ASSERT_EQUAL(trouble.began, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(trouble.text, folder));
	CU_ASSERT_PTR_NOT_NULL(strstr(trouble.text, says));
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
}

struct answers {
	int count, error;
	char text[CLAIMS_MESSAGE_SIZE];
};

static void answered(int error, const char *text, void *user)
{
	struct answers *answers = user;

	answers->count++;
	answers->error = error;
	snprintf(answers->text, sizeof(answers->text), "%s", text);
}

static uint64_t key_of(uint16_t incarnation)
{
	struct key key = {key_cluster_hash("demo"), KEY_KIND_CLAIM, 1, 10, incarnation};

	return key_encode(&key);
}

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", folder, name);
}

static bool exists(const char *name)
{
	char path[200];

	path_of(path, sizeof(path), name);
	return access(path, F_OK) == 0;
}

/* Opens the folder anew and says what is found for group "mail". */
static enum claims_found found_as(const char *cluster, uint8_t node, size_t *count)
{
	struct claims *state = open_as(cluster, node);
	enum claims_found found;
	struct claims_group *group =
		claims_group_open(state, "mail", &found, message, sizeof(message));

	claims_group_keys(group, count);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	return found;
}

/* Writes two claims down; returns what incarnation was given first. */
static uint16_t write_claims(void)
{
	struct claims *state = open_as("demo", 1);
	struct answers answers = {0};
	enum claims_found found;
	struct claims_group *group =
		claims_group_open(state, "mail", &found, message, sizeof(message));
	uint16_t incarnation = claims_group_next_incarnation(group);

	claims_group_record(group, key_of(incarnation), answered, &answers);
	claims_group_record(group, key_of((uint16_t)(incarnation + 1)), answered, &answers);
	CU_ASSERT_EQUAL(answers.count, 0); /* never before it is durable */
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.count, 2);
	CU_ASSERT_EQUAL(answers.error, 0);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	return incarnation;
}

static void claims_come_back_newest_first(void)
{
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	size_t count;
	uint16_t incarnation;
	const uint64_t *keys;

	begin();
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_NOTHING);
	CU_ASSERT_EQUAL(count, 0);
	incarnation = write_claims();
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	keys = claims_group_keys(group, &count);
	CU_ASSERT_EQUAL(found, CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_STRING_EQUAL(message, "");
	CU_ASSERT_EQUAL_FATAL(count, 2);
	CU_ASSERT_EQUAL(keys[0], key_of((uint16_t)(incarnation + 1)));
	CU_ASSERT_EQUAL(keys[1], key_of(incarnation));
	/* recorded again: moved to the front, not there twice */
	claims_group_record(group, key_of(incarnation), NULL, NULL);
	keys = claims_group_keys(group, &count);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(keys[0], key_of(incarnation));
	claims_close(state);
	end();
}

static void a_struck_key_is_gone(void)
{
	struct answers answers = {0};
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	size_t count;
	uint16_t incarnation;

	begin();
	incarnation = write_claims();
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	claims_group_strike(group, key_of(incarnation), answered, &answers);
	claims_group_keys(group, &count);
	CU_ASSERT_EQUAL(count, 1);
	claims_group_strike(group, key_of(999), answered,
			    &answers); /* not there: answered all the same */
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.count, 2);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 1);
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	claims_group_strike(group, 0, NULL, NULL);
	claims_close(state); /* writes what is not written yet */
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 0);
	end();
}

static void the_oldest_of_nine_goes(void)
{
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	const uint64_t *keys;
	size_t count;

	begin();
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	for (uint16_t i = 1; i <= CLAIMS_KEYS_MAX + 1; i++)
		claims_group_record(group, key_of(i), NULL, NULL);
	keys = claims_group_keys(group, &count);
	CU_ASSERT_EQUAL_FATAL(count, CLAIMS_KEYS_MAX);
	CU_ASSERT_EQUAL(keys[0], key_of(CLAIMS_KEYS_MAX + 1));
	CU_ASSERT_EQUAL(keys[CLAIMS_KEYS_MAX - 1], key_of(2));
	claims_close(state);
	end();
}

/* However often the daemon starts, and wherever the counter stands, numbers of the last start do
 * not come again soon. */
static void incarnations_do_not_come_again(void)
{
	uint16_t last = 0;

	begin();
	for (int start = 0; start < 40; start++) {
		struct claims *state = open_as("demo", 1);
		enum claims_found found;
		struct claims_group *group =
			claims_group_open(state, "mail", &found, message, sizeof(message));
		uint16_t first = claims_group_next_incarnation(group);

		CU_ASSERT_NOT_EQUAL(first, 0);
		if (start > 0) {
			CU_ASSERT_TRUE((uint16_t)(first - last) > CLAIMS_INCARNATION_AHEAD / 2);
			CU_ASSERT_TRUE((uint16_t)(first - last) < 2 * CLAIMS_INCARNATION_AHEAD);
		}
		CU_ASSERT_NOT_EQUAL(claims_group_next_incarnation(group), first);
		for (uint16_t i = 1; i <= 5000; i++)
			claims_group_used_incarnation(group, (uint16_t)(first + i));
		last = (uint16_t)(first + 5000);
		uv_run(&loop, UV_RUN_DEFAULT);
		claims_close(state);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	end();
}

static void overwrite(const char *name, const char *data, size_t length)
{
	char path[200];
	FILE *out;

	path_of(path, sizeof(path), name);
	out = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fwrite(data, 1, length, out);
	fclose(out);
}

static size_t contents(const char *name, char *data, size_t size)
{
	char path[200];
	FILE *in;
	size_t length;

	path_of(path, sizeof(path), name);
	in = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	length = fread(data, 1, size, in);
	fclose(in);
	return length;
}

static void a_torn_file_is_never_taken_as_empty(void)
{
	char whole[1000], torn[1000];
	size_t length, count;

	begin();
	write_claims();
	length = contents("mail.claims", whole, sizeof(whole));
	for (size_t cut = 0; cut < length; cut += cut < length - 30 ? 17 : 1) {
		overwrite("mail.claims", whole, cut);
		CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_UNUSABLE);
		CU_ASSERT_EQUAL(count, 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, "mail.claims"));
	}
	memcpy(torn, whole, length);
	*strstr(torn, "claim 4c") = 'C';
	overwrite("mail.claims", torn, length);
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_UNUSABLE);
	/* looking at it does not change it */
	CU_ASSERT_FALSE(exists("mail.claims.unusable"));
	CU_ASSERT_EQUAL(contents("mail.claims", whole, sizeof(whole)), length);
	CU_ASSERT_EQUAL(memcmp(whole, torn, length), 0);
	end();
}

static void an_unusable_file_is_kept_aside(void)
{
	struct answers answers = {0};
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	char data[100];
	size_t count;

	begin();
	overwrite("mail.claims", "rubbish", 7);
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	CU_ASSERT_EQUAL(found, CLAIMS_FOUND_UNUSABLE);
	claims_group_record(group, key_of(5), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.error, 0);
	CU_ASSERT_EQUAL(contents("mail.claims.unusable", data, sizeof(data)), 7);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 1);
	end();
}

static void claims_of_others_are_not_ours(void)
{
	struct claims_file claims;
	char text[CLAIMS_FILE_MAX], reason[100];
	size_t length, count;

	begin();
	write_claims();
	CU_ASSERT_EQUAL(found_as("demo", 2, &count), CLAIMS_FOUND_UNUSABLE);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "node 1"));
	CU_ASSERT_EQUAL(found_as("other", 1, &count), CLAIMS_FOUND_UNUSABLE);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "cluster demo"));
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);

	length = contents("mail.claims", text, sizeof(text));
	CU_ASSERT_EQUAL_FATAL(claims_decode(&claims, text, length, reason, sizeof(reason)), 0);
	if (claims.machine) {
		claims.machine ^= 1;
		overwrite("mail.claims", text, claims_encode(&claims, text, sizeof(text)));
		CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_UNUSABLE);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, "another machine"));
	}
	claims.machine = 0; /* was not known then */
	overwrite("mail.claims", text, claims_encode(&claims, text, sizeof(text)));
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	end();
}

static void a_second_daemon_is_refused(void)
{
	struct claims *state;
	char pid[24];

	begin();
	state = open_as("demo", 1);
	CU_ASSERT_EQUAL(open_error(), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	CU_ASSERT_PTR_NOT_NULL(strstr(message, pid));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, folder));
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	claims_close(open_as("demo", 1));
	end();
}

static void a_bad_folder_is_named_with_what_to_do(void)
{
	char good[100];

	begin();
	snprintf(good, sizeof(good), "%.*s", 60, folder);
	CU_ASSERT_EQUAL(chmod(folder, 0777), 0);
	check_trouble("0700");
	CU_ASSERT_EQUAL(chmod(folder, 0700), 0);
	overwrite("file", "", 0);
	snprintf(folder, sizeof(folder), "%s/file", good);
	check_trouble("expected a folder");
	snprintf(folder, sizeof(folder), "%s/a/b", good);
	check_trouble("mkdir");
	snprintf(folder, sizeof(folder), "%s/new", good);
	claims_close(open_as("demo", 1)); /* made */
	memcpy(folder, good, sizeof(good));
	end();
}

/* In a mount namespace of its own, so in a process of its own: 0 well, 77 no such
 * namespace here. */
static int full_disk(void)
{
	unsigned failed_before = CU_get_number_of_failures();
	struct answers answers = {0};
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	static char filler[1 << 16];
	size_t count;
	int fd;
	char path[200];

	begin();
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
	    mount("tmpfs", folder, "tmpfs", 0, "size=64k,mode=0700") != 0)
		return 77;
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	claims_group_record(group, key_of(1), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.error, 0);
	path_of(path, sizeof(path), "filler");
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CU_ASSERT_TRUE(write(fd, filler, sizeof(filler)) > 0);
	claims_group_record(group, key_of(2), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.count, 2);
	CU_ASSERT_EQUAL(answers.error, -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(answers.text, folder));
	CU_ASSERT_PTR_NOT_NULL(strstr(answers.text, "free space"));
	CU_ASSERT_EQUAL(claims_group_keys(group, &count)[0],
			key_of(1)); /* what is not durable is not ours */
	CU_ASSERT_EQUAL(count, 1);
	/* a daemon that begins now has what was written, and makes no claim either */
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	check_trouble("free space");
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	CU_ASSERT_EQUAL(found, CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(claims_group_keys(group, &count)[0], key_of(1));
	claims_group_record(group, key_of(2), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.error, -ENOSPC);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	close(fd);
	claims_group_record(group, key_of(3), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.error, 0);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(mount("tmpfs", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
	check_trouble("writable");
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 2);
	umount(folder);
	end();
	return CU_get_number_of_failures() != failed_before;
}

static void tick(uv_timer_t *timer)
{
	(void)timer;
}

/* Turns the loop until the trouble has ended, at most 10 s. A daemon's loop has work always. */
static void wait_for_end(const struct trouble *trouble)
{
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, tick, 10, 10);
	for (int i = 0; i < 1000 && !trouble->ended; i++)
		uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(trouble->ended, 1);
}

/* The folder is removed and cannot be made: what the daemon before owned is known from the copy,
 * nothing new is claimed, and once the folder can be made it has all that it had. */
static void a_lost_folder_is_put_back_from_the_copy(void)
{
	struct answers answers = {0};
	struct trouble trouble = {0};
	char copy[160], whole[128], command[400];
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	uint16_t incarnation;
	size_t count;
	FILE *out;

	begin();
	snprintf(whole, sizeof(whole), "%s", folder);
	snprintf(copy, sizeof(copy), "%s/copies", whole);
	snprintf(folder, sizeof(folder), "%.100s/state", whole);
	copies = copy;
	incarnation = write_claims();
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
	out = fopen(folder, "w"); /* no folder can be made here */
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fclose(out);

	state = open_as("demo", 1);
	claims_on_trouble(state, troubled, &trouble);
	CU_ASSERT_EQUAL(trouble.began, 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	CU_ASSERT_EQUAL(found, CLAIMS_FOUND_COPY);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, copy));
	CU_ASSERT_EQUAL(claims_group_keys(group, &count)[0], key_of((uint16_t)(incarnation + 1)));
	CU_ASSERT_EQUAL(count, 2);
	claims_group_record(group, key_of(7), answered, &answers);
	for (int i = 0; i < 100 && !answers.count; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(10000);
	}
	CU_ASSERT_EQUAL(answers.error, -ENOTDIR);
	claims_group_keys(group, &count);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(unlink(folder), 0);
	wait_for_end(&trouble);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);

	copies = NULL;
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(found_as("demo", 2, &count), CLAIMS_FOUND_UNUSABLE);
	copies = copy; /* another node's copy is not believed either */
	CU_ASSERT_EQUAL(found_as("demo", 2, &count), CLAIMS_FOUND_UNUSABLE);
	snprintf(folder, sizeof(folder), "%s", whole);
	end();
}

/* It is removed under a daemon that runs: the next writing finds the new one. */
static void a_folder_that_is_removed_is_made_anew(void)
{
	struct answers answers = {0};
	struct trouble trouble = {0};
	char whole[128], command[400];
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	size_t count;

	begin();
	snprintf(whole, sizeof(whole), "%s", folder);
	snprintf(folder, sizeof(folder), "%.100s/state", whole);
	state = open_as("demo", 1);
	claims_on_trouble(state, troubled, &trouble);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
	claims_group_record(group, key_of(1), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.count, 1);
	CU_ASSERT_EQUAL(answers.error, -ENOENT);
	CU_ASSERT_EQUAL(trouble.began, 1);
	claims_group_record(group, key_of(2), answered, &answers);
	wait_for_end(&trouble);
	CU_ASSERT_EQUAL(answers.count, 2);
	CU_ASSERT_EQUAL(answers.error, 0);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found_as("demo", 1, &count), CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(count, 1);
	snprintf(folder, sizeof(folder), "%s", whole);
	end();
}

static void a_full_disk_makes_no_claim(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(full_disk());
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		fprintf(stderr, "\nno mount namespace here: a full disk was not tried\n");
	else
		CU_ASSERT_EQUAL(status, 0);
}

static void close_in_answer(int error, const char *text, void *user)
{
	(void)text;
	CU_ASSERT_EQUAL(error, 0);
	claims_group_close(user);
}

static void groups_may_close_at_any_time(void)
{
	struct answers answers = {0};
	struct claims *state;
	struct claims_group *groups[3];
	enum claims_found found;
	char name[16];

	begin();
	state = open_as("demo", 1);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		groups[i] = claims_group_open(state, name, &found, message, sizeof(message));
	}
	claims_group_record(groups[0], key_of(1), answered, &answers);
	claims_group_close(groups[0]); /* with a write under way */
	claims_group_close(groups[1]); /* idle */
	claims_group_record(groups[2], key_of(1), close_in_answer, groups[2]);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.count, 1);
	CU_ASSERT_TRUE(exists("g0.claims"));
	CU_ASSERT_TRUE(exists("g2.claims"));
	claims_close(state);
	end();
}

static void one_that_is_opened_again_is_not_older(void)
{
	struct answers answers = {0};
	struct claims *state;
	struct claims_group *group;
	enum claims_found found;
	size_t count;

	begin();
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	claims_group_record(group, key_of(1), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	claims_group_record(group, key_of(2), answered, &answers);
	claims_group_strike(group, key_of(1), NULL, NULL); /* behind that write */
	claims_group_close(group);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	CU_ASSERT_EQUAL(found, CLAIMS_FOUND_CLAIMS);
	CU_ASSERT_EQUAL(claims_group_keys(group, &count)[0], key_of(2));
	CU_ASSERT_EQUAL(count, 1);
	claims_group_record(group, key_of(3), answered, &answers);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(answers.count, 3);
	CU_ASSERT_EQUAL(answers.error, 0);
	claims_close(state);
	uv_run(&loop, UV_RUN_DEFAULT);
	state = open_as("demo", 1);
	group = claims_group_open(state, "mail", &found, message, sizeof(message));
	CU_ASSERT_EQUAL(claims_group_keys(group, &count)[0], key_of(3));
	CU_ASSERT_EQUAL(count, 2);
	claims_close(state);
	end();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"claims come back newest first", claims_come_back_newest_first},
		{"a struck key is gone", a_struck_key_is_gone},
		{"the oldest of nine goes", the_oldest_of_nine_goes},
		{"incarnations do not come again", incarnations_do_not_come_again},
		{"a torn file is never taken as empty", a_torn_file_is_never_taken_as_empty},
		{"an unusable file is kept aside", an_unusable_file_is_kept_aside},
		{"claims of others are not ours", claims_of_others_are_not_ours},
		{"a second daemon is refused", a_second_daemon_is_refused},
		{"a bad folder is named with what to do", a_bad_folder_is_named_with_what_to_do},
		{"a lost folder is put back from the copy",
		 a_lost_folder_is_put_back_from_the_copy},
		{"a folder that is removed is made anew", a_folder_that_is_removed_is_made_anew},
		{"a full disk makes no claim", a_full_disk_makes_no_claim},
		{"groups may close at any time", groups_may_close_at_any_time},
		{"one that is opened again is not older", one_that_is_opened_again_is_not_older},
		CU_TEST_INFO_NULL,
	};

	return unit_run("state folder", tests);
}
