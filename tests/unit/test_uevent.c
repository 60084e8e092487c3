/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Uevents: what the kernel sends, what others send, and the watch on a loop, which believes the
 * kernel only.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scsi/uevent.h"
#include "tests/unit/unit.h"

#define DISK                                                                                       \
	"add@/devices/host6/block/sda\0ACTION=add\0DEVPATH=/devices/host6/block/sda\0"             \
	"SUBSYSTEM=block\0DEVNAME=sda\0DEVTYPE=disk\0SEQNUM=12"

static void test_a_disk(void)
{
	static const char message[] = DISK;
	struct uevent event;

	CU_ASSERT_EQUAL(uevent_parse(&event, message, sizeof(message)), 0);
	CU_ASSERT_STRING_EQUAL(event.action, "add");
	CU_ASSERT_STRING_EQUAL(event.path, "/devices/host6/block/sda");
	CU_ASSERT_STRING_EQUAL(event.subsystem, "block");
	CU_ASSERT_STRING_EQUAL(event.name, "sda");
	CU_ASSERT_STRING_EQUAL(event.type, "disk");
	CU_ASSERT(uevent_is_of_paths(&event));
	for (size_t length = 0; length < sizeof(message); length++)
		if (uevent_parse(&event, message, length) == 0)
			/* cut between two variables, behind those that matter */
			CU_ASSERT(message[length - 1] == '\0' && event.subsystem[0] != '\0');
}

static bool is_of_paths(const char *text, size_t length)
{
	struct uevent event;

	CU_ASSERT_EQUAL_FATAL(uevent_parse(&event, text, length), 0);
	return uevent_is_of_paths(&event);
}
#define IS_OF_PATHS(text) is_of_paths(text, sizeof(text))

static void test_which_matter(void)
{
	CU_ASSERT(
		IS_OF_PATHS("change@/d\0ACTION=change\0DEVPATH=/d\0SUBSYSTEM=block\0DEVNAME=dm-3"));
	CU_ASSERT(IS_OF_PATHS("remove@/d\0ACTION=remove\0DEVPATH=/d\0SUBSYSTEM=iscsi_session"));
	CU_ASSERT(
		IS_OF_PATHS("add@/d\0ACTION=add\0DEVPATH=/d\0SUBSYSTEM=scsi_generic\0DEVNAME=sg4"));
	CU_ASSERT_FALSE(
		IS_OF_PATHS("add@/d\0ACTION=add\0DEVPATH=/d\0SUBSYSTEM=block\0DEVNAME=sda1\0"
			    "DEVTYPE=partition"));
	CU_ASSERT_FALSE(IS_OF_PATHS(
		"change@/d\0ACTION=change\0DEVPATH=/d\0SUBSYSTEM=block\0DEVNAME=loop0"));
	CU_ASSERT_FALSE(IS_OF_PATHS("add@/d\0ACTION=add\0DEVPATH=/d\0SUBSYSTEM=net"));
}

#define REFUSED(text) CU_ASSERT_EQUAL(uevent_parse(&event, text, sizeof(text)), -EBADMSG)

static void test_nonsense(void)
{
	struct uevent event;

	REFUSED("");
	REFUSED("libudev\0\376\355\312\376");
	REFUSED("@/d\0DEVPATH=/d\0SUBSYSTEM=block");
	REFUSED("add@d\0ACTION=add\0DEVPATH=d\0SUBSYSTEM=block");
	REFUSED("add@/d\0ACTION=add\0DEVPATH=/d");
	REFUSED("add@/d\0ACTION=remove\0DEVPATH=/d\0SUBSYSTEM=block");
	REFUSED("add@/d\0ACTION=add\0DEVPATH=/e\0SUBSYSTEM=block");
	CU_ASSERT_EQUAL(uevent_parse(&event, "add@/d", 6), -EBADMSG);
}

static unsigned seen;

static void on_seen(const struct uevent *event, void *user)
{
	(void)event, (void)user;
	seen++;
}

static void on_closed(void *user)
{
	(*(unsigned *)user)++;
}

/* A process that speaks like the kernel is not believed. */
static void test_an_impostor(void)
{
	static const char message[] = DISK;
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1};
	struct uevent_watch *watch;
	unsigned closed = 0;
	uv_loop_t loop;
	int fd;

	uv_loop_init(&loop);
	if (uevent_watch_open(&loop, on_seen, NULL, &watch) < 0) {
		uv_loop_close(&loop);
		return; /* not allowed here */
	}
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
	CU_ASSERT(fd >= 0);
	seen = 0;
	if (sendto(fd, message, sizeof(message), 0, (struct sockaddr *)&to, sizeof(to)) > 0) {
		for (int i = 0; i < 10; i++) {
			uv_run(&loop, UV_RUN_NOWAIT);
			usleep(2000);
		}
		CU_ASSERT_EQUAL(seen, 0);
	}
	close(fd);
	uevent_watch_close(watch, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(closed, 1);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static unsigned lost;

static void on_lost(const struct uevent *event, void *user)
{
	(void)user;
	lost += event == NULL;
}

/* More than the socket holds. */
static void flood(int fd)
{
	static const char message[4000] = DISK;
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1};

	for (int i = 0; i < 2000; i++)
		if (sendto(fd, message, sizeof(message), MSG_DONTWAIT, (struct sockaddr *)&to,
			   sizeof(to)) < 0 &&
		    errno != EAGAIN && errno != ENOBUFS)
			break;
}

static unsigned lost_after_flood(uv_loop_t *loop, int fd)
{
	lost = 0;
	flood(fd);
	for (int i = 0; i < 200; i++) {
		uv_run(loop, UV_RUN_NOWAIT);
		usleep(500);
	}
	return lost;
}

/* Some messages are lost: that is told, and what comes later is heard again. */
static void test_too_many(void)
{
	struct uevent_watch *watch;
	unsigned closed = 0;
	uv_loop_t loop;
	int fd;

	if (unshare(CLONE_NEWNET) < 0) /* others on this machine listen too */
		return;
	uv_loop_init(&loop);
	if (uevent_watch_open(&loop, on_lost, NULL, &watch) < 0) {
		uv_loop_close(&loop);
		return; /* not allowed here */
	}
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
	CU_ASSERT(fd >= 0);
	CU_ASSERT(lost_after_flood(&loop, fd) > 0);
	CU_ASSERT(lost_after_flood(&loop, fd) > 0);
	close(fd);
	uevent_watch_close(watch, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(closed, 1);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

int main(void)
{
	CU_TestInfo tests[] = {{"a disk", test_a_disk},     {"which matter", test_which_matter},
			       {"nonsense", test_nonsense}, {"an impostor", test_an_impostor},
			       {"too many", test_too_many}, CU_TEST_INFO_NULL};

	return unit_run("uevent", tests);
}
