/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A path whose answers are a function of the test, and the loop that it is on.
 */
#ifndef TESTS_UNIT_FAKE_PATH_H
#define TESTS_UNIT_FAKE_PATH_H

#include <errno.h>
#include <string.h>

#include "scsi/lun_proof.h"
#include "tests/unit/unit.h"

#define SENT_MAX 32

typedef void fake_answer(struct scsi_request *request, unsigned turn);

struct fake_path {
	struct path base;
	uv_timer_t timer;
	struct scsi_request *pending;
	fake_answer *answer; /* NULL: never answers */
	unsigned turn;
	struct {
		uint8_t opcode, action;
		uint32_t timeout_ms, length;
		uint64_t at_us;
	} sent[SENT_MAX];
	void (*closed)(void *user);
	void *closed_user;
};

static uv_loop_t loop;
static struct fake_path fake;
static unsigned dones;

static inline void fake_on_timer(uv_timer_t *timer)
{
	struct scsi_request *request = fake.pending;

	(void)timer;
	fake.pending = NULL;
	fake.answer(request, fake.turn++);
	request->done(request);
}

static inline void fake_submit(struct path *path, struct scsi_request *request)
{
	(void)path;
	CU_ASSERT_PTR_NULL_FATAL(fake.pending);
	CU_ASSERT_TRUE_FATAL(fake.turn < SENT_MAX);
	fake.sent[fake.turn].opcode = request->cdb[0];
	fake.sent[fake.turn].action = request->cdb[1];
	fake.sent[fake.turn].timeout_ms = request->timeout_ms;
	fake.sent[fake.turn].length = request->data_length;
	fake.sent[fake.turn].at_us = uv_hrtime() / 1000;
	fake.pending = request;
	if (fake.answer)
		uv_timer_start(&fake.timer, fake_on_timer, 0, 0);
}

static inline void fake_on_closed(uv_handle_t *handle)
{
	struct scsi_request *request = fake.pending;

	(void)handle;
	fake.pending = NULL;
	if (request) {
		scsi_result_from_transport(&request->result, -ECANCELED);
		request->done(request);
	}
	if (fake.closed)
		fake.closed(fake.closed_user);
}

static inline void fake_close(struct path *path, void (*closed)(void *user), void *user)
{
	(void)path;
	fake.closed = closed;
	fake.closed_user = user;
	uv_close((uv_handle_t *)&fake.timer, fake_on_closed);
}

static const struct path_ops fake_ops = {
	.kind = "fake", .submit = fake_submit, .close = fake_close};

static inline void begin(fake_answer *answer)
{
	uv_loop_init(&loop);
	memset(&fake, 0, sizeof(fake));
	fake.base.ops = &fake_ops;
	fake.base.loop = &loop;
	fake.base.state = PATH_STATE_UP;
	fake.answer = answer;
	uv_timer_init(&loop, &fake.timer);
	dones = 0;
}

/* Runs what is under way to its end; the path stays open. */
static inline void run(void)
{
	unsigned before = dones;

	while (dones == before && uv_run(&loop, UV_RUN_ONCE) != 0)
		;
}

static inline void end(void)
{
	path_close(&fake.base, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static inline void good(struct scsi_request *request, const void *data, size_t length)
{
	scsi_result_from_status(&request->result, SCSI_STATUS_GOOD, NULL, 0);
	if (length > request->data_length)
		length = request->data_length;
	if (length > 0)
		memcpy(request->data, data, length);
	request->result.transferred = (uint32_t)length;
}

static inline void sense(struct scsi_request *request, uint8_t key, uint8_t asc, uint8_t ascq)
{
	uint8_t bytes[8] = {0x72, key, asc, ascq};

	scsi_result_from_status(&request->result, SCSI_STATUS_CHECK_CONDITION, bytes,
				sizeof(bytes));
}

static inline void status(struct scsi_request *request, uint8_t code)
{
	scsi_result_from_status(&request->result, code, NULL, 0);
}

#endif
