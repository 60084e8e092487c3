/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One iSCSI session of libiscsi, from connecting to its end. The only place that includes
 * libiscsi's headers: they name the same things as scsi/scsi.h does. A transport lives for one
 * login only; who wants another session makes another transport, so nothing of a lost session
 * (queued writes, above all) can be sent on the next.
 */
#ifndef ISCSI_TRANSPORT_H
#define ISCSI_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The ISID (RFC 7143 11.12.5) of all sessions that LunKeeper makes: format 10b ("random"), because
 * the other two need a number that the IEEE or IANA gave; bytes 1-3 are "LKP", always, and bytes
 * 4-5 the qualifier. LIO compares bytes 0-3 of a reservation's holder only, so all nexuses of a
 * node must agree in them; and a constant ISID is what makes a node that logs in again the same I_T
 * nexus. */
#define TRANSPORT_ISID_FORMAT 0x80u
#define TRANSPORT_ISID_CONSTANT 0x4c4b50u

struct transport;

struct transport_config {
	const char *initiator_name, *target;
	uint16_t isid_qualifier;
	const char *user, *secret;               /* NULL: no CHAP */
	const char *target_user, *target_secret; /* NULL: the target need not prove itself */
	bool header_digest;
};

struct transport_answer {
	/* 0: the target answered. -ENOTCONN: the session has ended, or transport_forget() was
	 * called. -EIO: the target sent something else than an answer (a reject, a status that
	 * libiscsi does not know). */
	int error;
	uint8_t status; /* SAM-5 status byte */
	const uint8_t *sense;
	size_t sense_length;
	uint32_t transferred;
};

enum transport_direction { TRANSPORT_NONE, TRANSPORT_IN, TRANSPORT_OUT };

/* A command. The caller owns the struct and keeps it until answered() was called, or the transport
 * is gone. */
struct transport_task {
	const uint8_t *cdb;
	uint8_t cdb_length;
	uint16_t lun_field;
	enum transport_direction direction;
	struct iovec data; /* libiscsi reads and writes here while the task is unanswered; may be
			      exchanged for other memory of the same length and content between two
			      calls of transport functions */
	void (*answered)(struct transport_task *task, const struct transport_answer *answer);
	struct transport *transport; /* this one and the next are the transport's */
	void *scsi;
};

/* A task management function. response: RFC 7143 11.6.1, 0 is "function complete"; -1: no answer
 * will come. The caller owns the struct and keeps it until answered() was called, or the transport
 * is gone. */
struct transport_management {
	void (*answered)(struct transport_management *management, int response);
};

/* Copies all of config. NULL: out of memory. */
struct transport *transport_new(const struct transport_config *config);

/* Starts to connect and log in; address is numeric, "10.0.0.1:3260" or "[fe80::1]:3260". ended() is
 * called once, from transport_service(): 0 logged in, -EREMCHG the target sends us elsewhere
 * (transport_redirect()), other -errno with the reason in transport_message(). Returns 0 or -errno,
 * and then ended() is not called. */
int transport_connect(struct transport *transport, const char *address,
		      void (*ended)(void *user, int error), void *user);

int transport_fd(const struct transport *transport);
/* POLLIN, POLLOUT: what to wait for. */
int transport_events(const struct transport *transport);
/* Handles poll events (POLLIN, POLLOUT, POLLERR). Returns 0, or -errno when the session has ended;
 * every task has then been answered as lost, or will be by transport_free(). */
int transport_service(struct transport *transport, int revents);
/* True when all that was queued has gone to the socket. */
bool transport_flushed(const struct transport *transport);

/* Queues a command; transport_service(POLLOUT) sends it. Returns 0 or -errno, and then answered()
 * is not called. */
int transport_send(struct transport *transport, struct transport_task *task);
/* ABORT TASK, LOGICAL UNIT RESET (RFC 7143 11.5.1). The tasks concerned stay as they are. Returns 0
 * or -errno. */
int transport_abort(struct transport *transport, const struct transport_task *task,
		    struct transport_management *management);
int transport_reset(struct transport *transport, uint16_t lun_field,
		    struct transport_management *management);
/* Takes an unanswered task back from libiscsi without telling the target; answered() is called as
 * lost. Only when transport_flushed(): a half-written PDU must not be taken away. */
void transport_forget(struct transport *transport, struct transport_task *task);

/* Frees what a task still holds that libiscsi no longer knows: its transport is gone, and
 * answered() was not called because the session had ended before that. No effect on others. */
void transport_release(struct transport_task *task);

/* answered() as for a management function. Returns 0 or -errno. */
int transport_logout(struct transport *transport, struct transport_management *management);

/* Why the session ended or could not be made, for people. */
const char *transport_message(const struct transport *transport);
/* The address that a redirecting target named, "10.0.0.2:3260,1". */
const char *transport_redirect(const struct transport *transport);

/* Closes the connection; unanswered tasks are answered as lost, or, after a logout, not at all.
 * Never from within a callback of this transport. */
void transport_free(struct transport *transport);

#endif
