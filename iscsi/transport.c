/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libiscsi (1.19) behind transport.h. What of it is not used, and why: its reconnect (re-sends
 * queued writes on the new nexus); its time-outs (whole seconds, and they leave the command at the
 * target); its LUN reset call (cancels the commands of all other LUNs, too); its full connect
 * (sends TEST UNIT READY, which swallows a unit attention); its URLs (a password in them can be
 * read by others).
 */
#include "iscsi/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A connection whose peer's kernel acknowledges nothing for this long is cut. Shorter than the time
 * an owner goes on without a look, longer than a bridge's or route's failover. A target that stalls
 * does not count: its kernel answers. */
#define USER_TIMEOUT_MS 15000
#define KEEPALIVE_IDLE_S 10
#define KEEPALIVE_INTERVAL_S 3
#define KEEPALIVE_COUNT 3

#define MESSAGE_MAX 300

struct transport {
	struct iscsi_context *context;
	void (*ended)(void *user, int error); /* NULL once called */
	void *user;
	bool logged_in, lost, forgetting;
	int socket_error;
	char message[MESSAGE_MAX];
};

struct transport *transport_new(const struct transport_config *config)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	if (!transport)
		return NULL;
	transport->context = iscsi_create_context(config->initiator_name);
	if (!transport->context) {
		free(transport);
		return NULL;
	}
	iscsi_set_noautoreconnect(transport->context, 1);
	iscsi_set_session_type(transport->context, ISCSI_SESSION_NORMAL);
	iscsi_set_targetname(transport->context, config->target);
	iscsi_set_isid_random(transport->context, TRANSPORT_ISID_CONSTANT, config->isid_qualifier);
	iscsi_set_alias(transport->context, "LunKeeper");
	iscsi_set_header_digest(transport->context, config->header_digest
							    ? ISCSI_HEADER_DIGEST_CRC32C
							    : ISCSI_HEADER_DIGEST_NONE);
	if (config->user)
		iscsi_set_initiator_username_pwd(transport->context, config->user, config->secret);
	if (config->target_user)
		iscsi_set_target_username_pwd(transport->context, config->target_user,
					      config->target_secret);
	iscsi_set_tcp_user_timeout(transport->context, USER_TIMEOUT_MS);
	iscsi_set_tcp_keepidle(transport->context, KEEPALIVE_IDLE_S);
	iscsi_set_tcp_keepintvl(transport->context, KEEPALIVE_INTERVAL_S);
	iscsi_set_tcp_keepcnt(transport->context, KEEPALIVE_COUNT);
	return transport;
}

/* RFC 7143 11.13.5: status class and detail of a login response. */
static const char *login_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{0x0200, "the target finds our request faulty"},
		{0x0201, "authentication failure: user or secret is wrong, or the target wants "
			 "CHAP and the secrets "
			 "file has no line for it"},
		{0x0202, "authorization failure: this initiator name may not use the target"},
		{0x0203, "target not found: the portal does not offer this name"},
		{0x0204, "target removed"},
		{0x0205, "unsupported iSCSI version"},
		{0x0206, "too many connections"},
		{0x0207, "missing parameter"},
		{0x0208, "cannot be included in the session"},
		{0x0209, "session type not supported"},
		{0x020a, "session does not exist"},
		{0x020b, "invalid during login"},
		{0x0300, "error in the target"},
		{0x0301, "service unavailable: the target is not ready for logins"},
		{0x0302, "out of resources"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "unknown reason";
}

/* libiscsi tells a login response's status only within its text, "...: Authentication
 * failure(513)". */
static int explain_login(struct transport *transport)
{
	const char *text = iscsi_get_error(transport->context);
	const char *number = text ? strrchr(text, '(') : NULL;
	int status = number && strstr(text, "Status: ") ? atoi(number + 1) : 0;

	if (status) {
		snprintf(transport->message, MESSAGE_MAX, "login rejected: %s (%04xh)",
			 login_status_text(status), (unsigned)status);
		return status == 0x0201 || status == 0x0202 ? -EACCES : -ECONNREFUSED;
	}
	if (text &&
	    (strstr(text, "CHAP_R") || strstr(text, "CHAP_N") || strstr(text, "CHAP targetname"))) {
		snprintf(transport->message, MESSAGE_MAX,
			 "login given up: the target could not prove with mutual CHAP that it "
			 "knows its secret");
		return -EACCES;
	}
	snprintf(transport->message, MESSAGE_MAX, "login failed: %s",
		 text && *text ? text : "no reason given");
	return -EPROTO;
}

static void end_login(struct transport *transport, int error)
{
	void (*ended)(void *user, int error) = transport->ended;

	transport->ended = NULL;
	if (ended)
		ended(transport->user, error);
}

static void logged_in(struct iscsi_context *context, int status, void *data, void *private_data)
{
	struct transport *transport = private_data;
	int error;

	(void)context;
	(void)data;
	if (status == SCSI_STATUS_GOOD) {
		transport->logged_in = true;
		end_login(transport, 0);
		return;
	}
	transport->lost = true;
	if (status == SCSI_STATUS_REDIRECT) {
		snprintf(transport->message, MESSAGE_MAX, "the target redirects to %s",
			 transport_redirect(transport));
		end_login(transport, -EREMCHG);
		return;
	}
	error = explain_login(transport);
	end_login(transport, error);
}

static void connected(struct iscsi_context *context, int status, void *data, void *private_data)
{
	struct transport *transport = private_data;

	(void)data;
	if (status != SCSI_STATUS_GOOD) {
		transport->lost = true; /* transport_service() says why */
		return;
	}
	if (iscsi_login_async(context, logged_in, transport) != 0) {
		transport->lost = true;
		snprintf(transport->message, MESSAGE_MAX, "login cannot be sent: %s",
			 iscsi_get_error(context));
	}
}

int transport_connect(struct transport *transport, const char *address,
		      void (*ended)(void *user, int error), void *user)
{
	int fd, flags;

	transport->ended = ended;
	transport->user = user;
	errno = 0;
	if (iscsi_connect_async(transport->context, address, connected, transport) != 0) {
		int error = errno ? -errno : -EIO;

		transport->ended = NULL;
		snprintf(transport->message, MESSAGE_MAX, "cannot connect: %s", strerror(-error));
		return error;
	}
	fd = iscsi_get_fd(transport->context);
	flags = fcntl(fd, F_GETFD);
	fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	return 0;
}

int transport_fd(const struct transport *transport)
{
	return iscsi_get_fd(transport->context);
}

int transport_events(const struct transport *transport)
{
	return iscsi_which_events(transport->context);
}

bool transport_flushed(const struct transport *transport)
{
	return iscsi_out_queue_length(transport->context) == 0 &&
	       !(iscsi_which_events(transport->context) & POLLOUT);
}

/* libiscsi says only that it is over. If the peer has closed, that is why; else it was something
 * that the peer has sent. */
static void explain_loss(struct transport *transport)
{
	const char *during = transport->logged_in ? "" : " during login", *text;
	char byte;

	if (transport->message[0])
		return; /* known already */
	if (transport->socket_error) {
		snprintf(transport->message, MESSAGE_MAX, "%s%s", strerror(transport->socket_error),
			 during);
		return;
	}
	if (recv(iscsi_get_fd(transport->context), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		snprintf(transport->message, MESSAGE_MAX, "connection closed by the target%s",
			 during);
		return;
	}
	text = iscsi_get_error(transport->context);
	snprintf(transport->message, MESSAGE_MAX, "protocol error%s: %s", during,
		 text && *text ? text : "no details");
}

static int lose(struct transport *transport)
{
	int error = transport->socket_error ? -transport->socket_error : -ECONNRESET;

	transport->lost = true;
	explain_loss(transport);
	end_login(transport, error);
	return error;
}

int transport_service(struct transport *transport, int revents)
{
	int fd = iscsi_get_fd(transport->context), result;

	if (revents & (POLLERR | POLLHUP)) {
		socklen_t size = sizeof(transport->socket_error);

		/* libiscsi would put it into a text of its own. */
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &transport->socket_error, &size) < 0)
			transport->socket_error = errno;
		revents |= POLLERR;
	}
	errno = 0;
	result = iscsi_service(transport->context, revents);
	if (!transport->socket_error &&
	    (errno == ECONNRESET || errno == ETIMEDOUT || errno == EPIPE || errno == EHOSTUNREACH ||
	     errno == ENETUNREACH))
		transport->socket_error = errno;
	/* A target that asks for a logout gets it from libiscsi, which would then log in again,
	 * were it allowed to. */
	if (transport->logged_in && !transport->lost && !iscsi_is_logged_in(transport->context)) {
		snprintf(transport->message, MESSAGE_MAX, "logged out at the target's request");
		return lose(transport);
	}
	return result < 0 || transport->lost ? lose(transport) : 0;
}

static void answer_status(struct transport_answer *answer, int status, const struct scsi_task *task)
{
	answer->status = (uint8_t)status;
	if (status == SCSI_STATUS_CHECK_CONDITION) {
		/* The data segment as it came: SenseLength, then sense data (RFC 7143 11.4.7.2). */
		if (task->datain.data && task->datain.size > 2) {
			size_t length = (size_t)task->datain.data[0] << 8 | task->datain.data[1];
			size_t there = (size_t)task->datain.size - 2;

			answer->sense = task->datain.data + 2;
			answer->sense_length = length < there ? length : there;
		}
	} else if (status == SCSI_STATUS_GOOD) {
		uint32_t expected = (uint32_t)task->expxferlen;
		uint32_t missing = task->residual_status == SCSI_RESIDUAL_UNDERFLOW
					   ? (uint32_t)task->residual
					   : 0;

		answer->transferred = missing < expected ? expected - missing : 0;
	}
}

static void answered(struct iscsi_context *context, int status, void *data, void *private_data)
{
	struct transport_task *task = private_data;
	struct scsi_task *scsi = task->scsi;
	struct transport_answer answer = {0};

	(void)context;
	(void)data;
	if (status >= 0 && status <= 0xff) {
		answer_status(&answer, status, scsi);
	} else if (status == SCSI_STATUS_CANCELLED) {
		answer.error = -ENOTCONN;
		if (!task->transport->forgetting)
			task->transport->lost =
				true; /* iscsi_service() itself says it only the next time */
	} else {
		answer.error = -EIO;
	}
	task->scsi = NULL;
	task->answered(task, &answer);
	scsi_free_scsi_task(scsi);
}

int transport_send(struct transport *transport, struct transport_task *task)
{
	static const int directions[] = {[TRANSPORT_NONE] = SCSI_XFER_NONE,
					 [TRANSPORT_IN] = SCSI_XFER_READ,
					 [TRANSPORT_OUT] = SCSI_XFER_WRITE};
	unsigned char cdb[SCSI_CDB_MAX_SIZE];
	struct scsi_task *scsi;

	if (task->cdb_length > sizeof(cdb) || task->data.iov_len > INT32_MAX)
		return -EINVAL;
	memcpy(cdb, task->cdb, task->cdb_length);
	scsi = scsi_create_task(task->cdb_length, cdb, directions[task->direction],
				(int)task->data.iov_len);
	if (!scsi)
		return -ENOMEM;
	/* The iovec is struct iovec by another name ("MUST never change", scsi-lowlevel.h). */
	if (task->direction == TRANSPORT_IN && task->data.iov_len)
		scsi_task_set_iov_in(scsi, (struct scsi_iovec *)&task->data, 1);
	if (task->direction == TRANSPORT_OUT && task->data.iov_len)
		scsi_task_set_iov_out(scsi, (struct scsi_iovec *)&task->data, 1);
	task->transport = transport;
	task->scsi = scsi;
	if (iscsi_scsi_command_async(transport->context, task->lun_field, scsi, answered, NULL,
				     task) != 0) {
		scsi_free_scsi_task(scsi);
		task->scsi = NULL;
		return -EIO;
	}
	return 0;
}

static void managed(struct iscsi_context *context, int status, void *data, void *private_data)
{
	struct transport_management *management = private_data;

	(void)context;
	management->answered(management,
			     status == SCSI_STATUS_GOOD && data ? (int)*(uint32_t *)data : -1);
}

static int manage(struct transport *transport, uint16_t lun_field,
		  enum iscsi_task_mgmt_funcs function, uint32_t tag, uint32_t cmdsn,
		  struct transport_management *management)
{
	int failed = iscsi_task_mgmt_async(transport->context, lun_field, function, tag, cmdsn,
					   managed, management);

	return failed ? -EIO : 0;
}

int transport_abort(struct transport *transport, const struct transport_task *task,
		    struct transport_management *management)
{
	const struct scsi_task *scsi = task->scsi;

	return manage(transport, task->lun_field, ISCSI_TM_ABORT_TASK, scsi->itt, scsi->cmdsn,
		      management);
}

int transport_reset(struct transport *transport, uint16_t lun_field,
		    struct transport_management *management)
{
	return manage(transport, lun_field, ISCSI_TM_LUN_RESET, 0xffffffff, 0, management);
}

void transport_forget(struct transport *transport, struct transport_task *task)
{
	transport->forgetting = true;
	iscsi_scsi_cancel_task(transport->context, task->scsi);
	transport->forgetting = false;
}

void transport_release(struct transport_task *task)
{
	if (task->scsi)
		scsi_free_scsi_task(task->scsi);
	task->scsi = NULL;
}

static void logged_out(struct iscsi_context *context, int status, void *data, void *private_data)
{
	struct transport_management *management = private_data;

	(void)context;
	(void)data;
	management->answered(management, status == SCSI_STATUS_GOOD ? 0 : -1);
}

int transport_logout(struct transport *transport, struct transport_management *management)
{
	return iscsi_logout_async(transport->context, logged_out, management) == 0 ? 0 : -EIO;
}

const char *transport_message(const struct transport *transport)
{
	return transport->message;
}

const char *transport_redirect(const struct transport *transport)
{
	const char *address = iscsi_get_target_address(transport->context);

	return address ? address : "";
}

void transport_free(struct transport *transport)
{
	transport->ended = NULL;
	iscsi_destroy_context(transport->context);
	free(transport);
}
