/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Errands on a path: retries, looks, orders and identities, against a path that answers as each
 * test says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/bytes.h"
#include "tests/unit/fake_path.h"

/* ---- one command ---- */

static void on_exec(struct pr_exec *exec)
{
	CU_ASSERT_PTR_EQUAL(exec->user, &dones);
	dones++;
}

static void start_ready(struct pr_exec *exec, uint32_t timeout_ms)
{
	exec->user = &dones;
	scsi_test_unit_ready_encode(&exec->request);
	pr_exec_start(exec, &fake.base, timeout_ms, on_exec);
	CU_ASSERT_EQUAL(dones, 0);
}

static void answer_after_attentions(struct scsi_request *request, unsigned turn)
{
	if (turn == 0)
		sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x29, 0x07);
	else if (turn == 1)
		sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x2a, 0x03);
	else
		good(request, NULL, 0);
}

static void test_attentions_are_taken(void)
{
	struct pr_counters counters = {0};
	struct pr_exec exec = {.counters = &counters};

	begin(answer_after_attentions);
	start_ready(&exec, 5000);
	run();
	CU_ASSERT_EQUAL(exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(exec.verdict, SCSI_RETRY_FINAL);
	CU_ASSERT_EQUAL(exec.attentions.count, 2);
	CU_ASSERT_EQUAL(exec.attentions.last[0].asc, 0x2a);
	CU_ASSERT_EQUAL(exec.attentions.last[0].ascq, 0x03);
	CU_ASSERT_EQUAL(exec.attentions.last[1].asc, 0x29);
	CU_ASSERT_EQUAL(counters.other, 3);
	CU_ASSERT_TRUE(fake.sent[2].timeout_ms <= 5000);
	end();
}

static void answer_attention_for_ever(struct scsi_request *request, unsigned turn)
{
	sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x3f, (uint8_t)turn);
}

static void test_attentions_are_bounded(void)
{
	struct pr_exec exec = {0};

	begin(answer_attention_for_ever);
	start_ready(&exec, 5000);
	run();
	CU_ASSERT_EQUAL(exec.request.result.outcome, SCSI_OUTCOME_FAILED);
	CU_ASSERT_EQUAL(fake.turn, SCSI_RETRY_MAX + 1);
	CU_ASSERT_EQUAL(exec.attentions.count, SCSI_RETRY_MAX + 1);
	CU_ASSERT_EQUAL(exec.attentions.last[0].ascq, SCSI_RETRY_MAX);
	CU_ASSERT_EQUAL(exec.attentions.last[3].ascq, SCSI_RETRY_MAX - 3);
	end();
}

static void answer_busy_twice(struct scsi_request *request, unsigned turn)
{
	if (turn < 2)
		status(request, turn == 0 ? SCSI_STATUS_BUSY : SCSI_STATUS_TASK_SET_FULL);
	else
		good(request, NULL, 0);
}

static void test_busy_is_waited_for(void)
{
	struct pr_exec exec = {0};

	begin(answer_busy_twice);
	start_ready(&exec, 5000);
	run();
	CU_ASSERT_EQUAL(exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(fake.turn, 3);
	CU_ASSERT_TRUE(fake.sent[1].at_us - fake.sent[0].at_us >= 9000);
	CU_ASSERT_TRUE(fake.sent[2].at_us - fake.sent[1].at_us >= 19000);
	CU_ASSERT_TRUE(fake.sent[2].timeout_ms <= 5000 - 28);
	end();
}

static void answer_busy(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	status(request, SCSI_STATUS_BUSY);
}

static void test_busy_until_the_time_is_over(void)
{
	struct pr_exec exec = {0};
	uint64_t began_us = uv_hrtime() / 1000;

	begin(answer_busy);
	start_ready(&exec, 50);
	run();
	CU_ASSERT_EQUAL(exec.request.result.outcome, SCSI_OUTCOME_FAILED);
	CU_ASSERT_EQUAL(exec.request.result.status, SCSI_STATUS_BUSY);
	CU_ASSERT_EQUAL(fake.turn, 3); /* at 0, 10 and 30 ms; 70 is beyond */
	CU_ASSERT_TRUE(uv_hrtime() / 1000 - began_us < 1000000);
	end();
}

static void test_closing_ends_a_wait(void)
{
	struct pr_exec exec = {0};

	begin(answer_busy);
	start_ready(&exec, 60000);
	while (!fake.base.later)
		uv_run(&loop, UV_RUN_ONCE);
	end(); /* the loop would not end, were the wait still there */
	CU_ASSERT_EQUAL(dones, 1);
	CU_ASSERT_EQUAL(exec.request.result.error, -ECANCELED);
	CU_ASSERT_EQUAL(exec.request.result.outcome, SCSI_OUTCOME_UNKNOWN);
}

static void test_closing_ends_what_is_under_way(void)
{
	struct pr_exec exec = {0};

	begin(NULL);
	start_ready(&exec, 60000);
	end();
	CU_ASSERT_EQUAL(dones, 1);
	CU_ASSERT_EQUAL(exec.request.result.error, -ECANCELED);
}

static void answer_standby(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	sense(request, SCSI_SENSE_NOT_READY, 0x04, 0x0b);
}

static void test_standby_path(void)
{
	struct pr_exec exec = {0};

	begin(answer_standby);
	start_ready(&exec, 5000);
	run();
	CU_ASSERT_EQUAL(fake.turn, 1);
	CU_ASSERT_EQUAL(exec.verdict, SCSI_RETRY_OTHER_PATH);
	CU_ASSERT_EQUAL(exec.request.result.outcome, SCSI_OUTCOME_FAILED);
	end();
}

/* ---- looks ---- */

/* What the made-up target has. Like old LIO, it tells of no more than fits when cuts_silently is
 * set. */
static struct {
	uint32_t generation, generation_step;
	uint64_t keys[1200];
	uint32_t key_count;
	bool held;
	uint64_t holder;
	uint8_t type;
	bool cuts_silently;
} target;

static void target_reset(void)
{
	memset(&target, 0, sizeof(target));
	target.generation = 5;
	target.type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
}

static void answer_target(struct scsi_request *request, unsigned turn)
{
	static uint8_t data[1 << 17];
	uint32_t length = 8, additional = 0,
		 entry = request->cdb[1] == PR_IN_READ_KEYS ? 8 : 24 + 64;

	(void)turn;
	memset(data, 0, sizeof(data));
	if (request->cdb[1] == PR_IN_READ_RESERVATION) {
		target.generation += target.generation_step;
		bytes_put_be64(data + 8, target.holder);
		data[21] = target.type;
		additional = target.held ? 16 : 0;
		length += additional;
	} else {
		for (uint32_t i = 0; i < target.key_count; i++) {
			uint8_t *at = data + 8 + i * entry;

			if (target.cuts_silently && length + entry > request->data_length)
				break;
			bytes_put_be64(at, target.keys[i]);
			if (entry > 8) {
				bool all = target.type >= PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS;

				at[12] = target.held && (all || target.keys[i] == target.holder);
				at[13] = target.type;
				bytes_put_be32(at + 20, 64);
			}
			length += entry;
			additional += entry;
		}
	}
	bytes_put_be32(data, target.generation);
	bytes_put_be32(data + 4, additional);
	good(request, data, length);
}

static void on_look(struct pr_look *look)
{
	CU_ASSERT_PTR_EQUAL(look->user, &dones);
	dones++;
}

static void do_look(struct pr_look *look, bool full_status)
{
	look->user = &dones;
	pr_look_start(look, &fake.base, full_status, 5000, on_look);
	run();
}

static void test_look_at_nothing(void)
{
	struct pr_look look = {0};

	target_reset();
	begin(answer_target);
	for (unsigned i = 0; i < 2; i++) {
		do_look(&look, i);
		CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
		CU_ASSERT_FALSE(look.held || look.truncated);
		CU_ASSERT_EQUAL(look.key_count, 0);
		CU_ASSERT_EQUAL(look.holder, 0);
		CU_ASSERT_EQUAL(look.generation, 5);
	}
	end();
}

static void test_look(void)
{
	struct pr_counters counters = {0};
	struct pr_look look = {.exec.counters = &counters};
	uint64_t before_us = uv_hrtime() / 1000;

	target_reset();
	target.key_count = 4;
	target.keys[0] = target.keys[2] = target.holder = 0x4c01;
	target.keys[1] = target.keys[3] = 0x4c02;
	target.held = true;
	begin(answer_target);
	for (unsigned i = 0; i < 2; i++) {
		do_look(&look, i);
		CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
		CU_ASSERT_TRUE(look.held);
		CU_ASSERT_EQUAL(look.holder, 0x4c01);
		CU_ASSERT_EQUAL(look.type, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
		CU_ASSERT_EQUAL(look.key_count, 2);
		CU_ASSERT_EQUAL(pr_look_nexuses(&look, 0x4c01), 2);
		CU_ASSERT_EQUAL(pr_look_nexuses(&look, 0x4c02), 2);
		CU_ASSERT_EQUAL(pr_look_nexuses(&look, 0x4c03), 0);
		CU_ASSERT_TRUE(look.began_us >= before_us);
	}
	CU_ASSERT_EQUAL(counters.in[PR_IN_READ_KEYS], 1);
	CU_ASSERT_EQUAL(counters.in[PR_IN_READ_RESERVATION], 1);
	CU_ASSERT_TRUE(counters.in[PR_IN_READ_FULL_STATUS] >= 1);
	CU_ASSERT_EQUAL(counters.other, 0);
	pr_look_release(&look);
	end();
}

static void test_look_all_registrants(void)
{
	struct pr_look look = {0};

	target_reset();
	target.key_count = 1;
	target.keys[0] = target.holder = 0x4c01;
	target.held = true;
	target.type = PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS;
	begin(answer_target);
	for (unsigned i = 0; i < 2; i++) {
		do_look(&look, i);
		CU_ASSERT_TRUE(look.held);
		CU_ASSERT_EQUAL(look.holder, 0);
		CU_ASSERT_EQUAL(look.type, PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
	}
	end();
}

static void answer_change_once(struct scsi_request *request, unsigned turn)
{
	target.generation_step = turn == 1;
	answer_target(request, turn);
}

static void test_look_while_it_changes(void)
{
	struct pr_look look = {0};

	target_reset();
	begin(answer_change_once);
	do_look(&look, false);
	CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(look.generation, 6);
	CU_ASSERT_EQUAL(fake.turn, 4);
	CU_ASSERT_TRUE(look.began_us <= fake.sent[0].at_us);
	end();

	target_reset();
	target.generation_step = 1;
	begin(answer_target);
	do_look(&look, false);
	CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_EQUAL(look.exec.request.result.error, -EAGAIN);
	CU_ASSERT_EQUAL(fake.turn, 2 * PR_LOOK_ATTEMPTS_MAX);
	end();
}

/* More keys than the first buffer holds, from targets that say so and from those that do not. */
static void test_look_grows(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct pr_look look = {0};
		unsigned turns;

		target_reset();
		target.cuts_silently = i & 1;
		target.key_count = 200;
		for (uint32_t k = 0; k < target.key_count; k++)
			target.keys[k] = 0x100 + k % 50;
		target.held = true;
		target.holder = 0x131;
		begin(answer_target);
		do_look(&look, i & 2);
		CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
		CU_ASSERT_EQUAL(look.key_count, 50);
		CU_ASSERT_EQUAL(pr_look_nexuses(&look, 0x131), 4);
		CU_ASSERT_FALSE(look.truncated);
		CU_ASSERT_EQUAL(look.holder, 0x131);
		/* The next look begins with what this one has learnt. */
		turns = fake.turn;
		do_look(&look, i & 2);
		CU_ASSERT_EQUAL(fake.turn - turns, i & 2 ? 1 : 2);
		CU_ASSERT_EQUAL(look.key_count, 50);
		pr_look_release(&look);
		end();
	}
}

static unsigned entries, beginnings;

static void on_entry(struct pr_look *look, const struct pr_full_status_entry *entry)
{
	CU_ASSERT_PTR_EQUAL(look->user, &dones);
	if (!entry) {
		beginnings++;
		entries = 0;
		return;
	}
	CU_ASSERT_EQUAL(entry->key, 0x100 + entries);
	entries++;
}

/* Every registration is told once, however often the target had to be asked. */
static void test_look_entries(void)
{
	struct pr_look look = {.entry = on_entry};

	target_reset();
	target.key_count = 40;
	for (uint32_t k = 0; k < target.key_count; k++)
		target.keys[k] = 0x100 + k;
	begin(answer_target);
	entries = beginnings = 0;
	do_look(&look, true);
	CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT(beginnings > 1);
	CU_ASSERT_EQUAL(entries, 40);
	beginnings = 0;
	do_look(&look, false); /* READ KEYS names no nexus */
	CU_ASSERT_EQUAL(beginnings, 0);
	pr_look_release(&look);
	end();
}

static uint8_t weigh(const struct pr_look *look, uint64_t key)
{
	(void)look;
	return key >= 0x1000 ? 1 : 0;
}

static void test_look_truncated(void)
{
	struct pr_look look = {.weigh = weigh};

	target_reset();
	target.key_count = 65;
	for (uint32_t k = 0; k < target.key_count; k++)
		target.keys[k] = 0xfc0 + k; /* the last matters most */
	begin(answer_target);
	do_look(&look, false);
	CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(look.key_count, PR_LOOK_KEYS_MAX);
	CU_ASSERT_TRUE(look.truncated);
	CU_ASSERT_EQUAL(pr_look_nexuses(&look, 0x1000), 1);
	/* More bytes than the largest buffer: 1200 entries of 88 bytes, all of one key. */
	target.key_count = 1200;
	for (uint32_t k = 0; k < target.key_count; k++)
		target.keys[k] = 7;
	do_look(&look, true);
	CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(look.key_count, 1);
	CU_ASSERT_EQUAL(look.nexuses[0], 255);
	CU_ASSERT_TRUE(look.truncated);
	pr_look_release(&look);
	end();
}

static void answer_short(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	good(request, "\0\0\0\1", 4);
}

static void answer_conflict(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	status(request, SCSI_STATUS_RESERVATION_CONFLICT);
}

static void test_look_fails(void)
{
	struct pr_look look = {0};

	for (unsigned i = 0; i < 2; i++) {
		begin(answer_short);
		do_look(&look, i);
		CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_UNKNOWN);
		CU_ASSERT_EQUAL(look.exec.request.result.error, -EBADMSG);
		CU_ASSERT_EQUAL(look.key_count, 0);
		end();
		begin(answer_conflict);
		do_look(&look, i);
		CU_ASSERT_EQUAL(look.exec.request.result.outcome, SCSI_OUTCOME_CONFLICT);
		CU_ASSERT_EQUAL(fake.turn, 1);
		end();
	}
}

/* ---- orders ---- */

static void on_order(struct pr_order *order)
{
	CU_ASSERT_PTR_EQUAL(order->user, &dones);
	dones++;
}

static void answer_order(struct scsi_request *request, unsigned turn)
{
	struct pr_out out;

	CU_ASSERT_EQUAL(pr_out_decode(&out, request->cdb, request->cdb_length, request->data,
				      request->data_length),
			0);
	CU_ASSERT_EQUAL(out.action, PR_OUT_PREEMPT_AND_ABORT);
	CU_ASSERT_EQUAL(out.key, 0x4c01);
	CU_ASSERT_EQUAL(out.service_key, 0x4c02);
	if (turn == 0)
		sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x2a, 0x05);
	else
		good(request, NULL, 0);
}

static void test_order(void)
{
	struct pr_counters counters = {0};
	struct pr_order order = {.exec.counters = &counters, .user = &dones};
	struct pr_out out = {.action = PR_OUT_PREEMPT_AND_ABORT,
			     .key = 0x4c01,
			     .service_key = 0x4c02,
			     .type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY};

	begin(answer_order);
	CU_ASSERT_EQUAL(pr_order_start(&order, &fake.base, &out, NULL, 1000, on_order), 0);
	memset(&out, 0xff, sizeof(out)); /* needed during the call only */
	run();
	CU_ASSERT_EQUAL(order.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(order.exec.attentions.count, 1);
	CU_ASSERT_EQUAL(counters.out[PR_OUT_PREEMPT_AND_ABORT], 2);
	out = (struct pr_out){.action = PR_OUT_RESERVE};
	CU_ASSERT_EQUAL(pr_order_start(&order, &fake.base, &out, NULL, 1000, on_order), -EINVAL);
	CU_ASSERT_EQUAL(fake.turn, 2);
	end();
}

/* ---- identities ---- */

static const uint8_t inquiry_data[36] = {0,   0,   6,   2,   31,  0,   0,   2,   'I', 'E',
					 'T', ' ', ' ', ' ', ' ', ' ', 'D', 'I', 'S', 'K'};
static const uint8_t page_83[] = {0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7};
static const uint8_t page_80[] = {0, 0x80, 0, 5, 'b', 'e', 'a', 'f', '1'};
static const uint8_t capacity_10[] = {0, 0, 0x0f, 0xff, 0, 0, 2, 0};

static void on_identify(struct lun_identify *identify)
{
	CU_ASSERT_PTR_EQUAL(identify->user, &dones);
	dones++;
}

static void answer_identity(struct scsi_request *request, unsigned turn)
{
	static const uint8_t capacity_16[32] = {0, 0, 0,    0, 0, 0, 0x1f, 0xff,
						0, 0, 0x10, 0, 0, 0, 0x80};

	if (turn == 0)
		sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x29, 0x00);
	else if (request->cdb[0] == 0x12 && request->cdb[1] == 0)
		good(request, inquiry_data, sizeof(inquiry_data));
	else if (request->cdb[0] == 0x12 && request->cdb[2] == 0x83)
		good(request, page_83, sizeof(page_83));
	else if (request->cdb[0] == 0x12 && request->cdb[2] == 0x80)
		good(request, page_80, sizeof(page_80));
	else if (request->cdb[0] == 0x9e)
		good(request, capacity_16, sizeof(capacity_16));
}

static void test_identify(void)
{
	struct lun_identify identify = {.user = &dones, .wanted = "wwn-0x5001020304050607"};

	begin(answer_identity);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_EQUAL(identify.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_STRING_EQUAL(identify.inquiry.vendor, "IET");
	CU_ASSERT_STRING_EQUAL(identify.inquiry.product, "DISK");
	CU_ASSERT_STRING_EQUAL(identify.wwid, "naa.5001020304050607");
	CU_ASSERT_TRUE(identify.wanted_present);
	CU_ASSERT_STRING_EQUAL(identify.serial, "beaf1");
	CU_ASSERT_EQUAL(identify.capacity.blocks, 0x2000);
	CU_ASSERT_EQUAL(identify.capacity.block_size, 4096);
	CU_ASSERT_TRUE(identify.capacity.thin_provisioned);
	CU_ASSERT_EQUAL(identify.exec.attentions.count, 1); /* of the whole errand */
	lun_identify_release(&identify);
	identify.wanted = "naa.5001020304050608";
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_FALSE(identify.wanted_present);
	end();
}

static void answer_poor_identity(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	if (request->cdb[0] == 0x12 && request->cdb[1] == 0)
		good(request, inquiry_data, sizeof(inquiry_data));
	else if (request->cdb[0] == 0x25)
		good(request, capacity_10, sizeof(capacity_10));
	else
		sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x24, 0x00);
}

static void test_identify_old_device(void)
{
	struct lun_identify identify = {.user = &dones, .wanted = "naa.5001020304050607"};

	begin(answer_poor_identity);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_EQUAL(identify.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(identify.exec.request.result.sense_length, 0);
	CU_ASSERT_STRING_EQUAL(identify.wwid, "");
	CU_ASSERT_STRING_EQUAL(identify.serial, "");
	CU_ASSERT_FALSE(identify.wanted_present);
	CU_ASSERT_EQUAL(identify.capacity.blocks, 4096);
	CU_ASSERT_EQUAL(identify.capacity.block_size, 512);
	end();
}

static void answer_no_lun(struct scsi_request *request, unsigned turn)
{
	static const uint8_t no_lun[36] = {0x7f, 0, 6, 2, 31};

	(void)turn;
	good(request, no_lun, sizeof(no_lun));
}

static void answer_lost(struct scsi_request *request, unsigned turn)
{
	if (turn == 0)
		good(request, inquiry_data, sizeof(inquiry_data));
	else
		scsi_result_from_transport(&request->result, -ENOTCONN);
}

static void test_identify_no_lun_and_no_answer(void)
{
	struct lun_identify identify = {.user = &dones};

	begin(answer_no_lun);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_EQUAL(identify.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(identify.inquiry.peripheral_qualifier, 3);
	CU_ASSERT_EQUAL(fake.turn, 1);
	end();
	begin(answer_lost);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_EQUAL(identify.exec.request.result.error, -ENOTCONN);
	CU_ASSERT_EQUAL(fake.turn, 2);
	end();
	begin(answer_conflict);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_EQUAL(identify.exec.request.result.outcome, SCSI_OUTCOME_CONFLICT);
	end();
	begin(answer_short);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_EQUAL(identify.exec.request.result.error, -EBADMSG);
	end();
}

static CU_TestInfo tests[] = {
	{"attentions are taken", test_attentions_are_taken},
	{"attentions are bounded", test_attentions_are_bounded},
	{"busy is waited for", test_busy_is_waited_for},
	{"busy until the time is over", test_busy_until_the_time_is_over},
	{"closing ends a wait", test_closing_ends_a_wait},
	{"closing ends what is under way", test_closing_ends_what_is_under_way},
	{"standby path", test_standby_path},
	{"look at nothing", test_look_at_nothing},
	{"look", test_look},
	{"look, all registrants", test_look_all_registrants},
	{"look while it changes", test_look_while_it_changes},
	{"look grows", test_look_grows},
	{"look truncated", test_look_truncated},
	{"look entries", test_look_entries},
	{"look fails", test_look_fails},
	{"order", test_order},
	{"identify", test_identify},
	{"identify an old device", test_identify_old_device},
	{"identify: no LUN, no answer", test_identify_no_lun_and_no_answer},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("pr_exec", tests);
}
