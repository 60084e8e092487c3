/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether it is still the logical unit that is meant: proofs, orders that are proven first, and pages
 * that are longer than what is asked for first.
 */
#include <stdlib.h>

#include "scsi/bytes.h"
#include "tests/unit/fake_path.h"

static const uint8_t inquiry_data[36] = {0,   0,   6,   2,   31,  0,   0,   2,   'I', 'E',
					 'T', ' ', ' ', ' ', ' ', ' ', 'D', 'I', 'S', 'K'};
static const uint8_t page_83[] = {0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7};

static void on_identify(struct lun_identify *identify)
{
	CU_ASSERT_PTR_EQUAL(identify->user, &dones);
	dones++;
}

static void on_order(struct pr_order *order)
{
	CU_ASSERT_PTR_EQUAL(order->user, &dones);
	dones++;
}

static void answer_lost(struct scsi_request *request, unsigned turn)
{
	if (turn == 0)
		good(request, inquiry_data, sizeof(inquiry_data));
	else
		scsi_result_from_transport(&request->result, -ENOTCONN);
}

/* ---- is it still the same? ---- */

static void on_proof(struct lun_proof *proof)
{
	CU_ASSERT_PTR_EQUAL(proof->user, &dones);
	dones++;
}

/* The unit that stands under the number: exchanged at the turn that a test says. */
static unsigned exchanged_at, attention_at;
static uint64_t blocks_left;

static void answer_unit(struct scsi_request *request, unsigned turn)
{
	static const uint8_t other_83[] = {0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 9, 9, 9, 9, 9, 9, 9};
	uint8_t capacity[32] = {0};
	bool other = turn >= exchanged_at;

	if (turn == attention_at) {
		sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x3f, 0x0e);
	} else if (request->cdb[0] == 0x9e) {
		bytes_put_be64(capacity, blocks_left - 1);
		bytes_put_be32(capacity + 8, 512);
		good(request, capacity, sizeof(capacity));
	} else if (request->cdb[0] == 0x12) {
		good(request, other ? other_83 : page_83, sizeof(page_83));
	} else {
		good(request, NULL, 0);
	}
}

static void begin_unit(unsigned exchanged, unsigned attention)
{
	exchanged_at = exchanged;
	attention_at = attention;
	blocks_left = 1000;
	begin(answer_unit);
}

static void do_proof(struct lun_proof *proof, struct lun_identity *identity)
{
	proof->user = &dones;
	lun_proof_start(proof, &fake.base, identity, 1000, on_proof);
	run();
}

static void test_proof(void)
{
	struct lun_identity identity = {0};
	struct lun_proof proof = {0};

	begin_unit(99, 99);
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_SAME);
	CU_ASSERT_EQUAL(identity.page_length, sizeof(page_83)); /* learned */
	CU_ASSERT_EQUAL(identity.blocks, 1000);
	blocks_left = 2000; /* it may grow */
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_SAME);
	CU_ASSERT_EQUAL(identity.blocks, 2000);
	blocks_left = 1999;
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_OTHER);
	CU_ASSERT_PTR_NOT_NULL(strstr(proof.text, "1999 blocks of 512 bytes"));
	blocks_left = 2000;
	exchanged_at = 0;
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_OTHER);
	CU_ASSERT_PTR_NOT_NULL(strstr(proof.text, "naa.5009090909090909"));
	CU_ASSERT_PTR_NOT_NULL(strstr(proof.text, "naa.5001020304050607"));
	lun_proof_release(&proof);
	lun_identity_free(&identity);
	end();
}

static void test_proof_wants_what_is_configured(void)
{
	struct lun_identity identity = {.wanted = "naa.5001020304050608"};
	struct lun_proof proof = {0};

	begin_unit(99, 99);
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_OTHER);
	CU_ASSERT_PTR_NULL(identity.page); /* a stranger is not learned */
	end();
}

static void answer_absent(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x25, 0x00);
}

static void test_proof_without_an_answer(void)
{
	struct lun_identity identity = {0};
	struct lun_proof proof = {0};

	begin(answer_absent);
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_GONE);
	end();
	begin(answer_lost);
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_UNKNOWN);
	end();
}

/* Of what was sent, the PERSISTENT RESERVE OUTs. */
static unsigned orders_sent(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake.turn; i++)
		count += fake.sent[i].opcode == 0x5f;
	return count;
}

static void do_proven_order(struct pr_order *order, struct lun_identity *identity)
{
	const struct pr_out out = {.action = PR_OUT_REGISTER, .service_key = 0x4c02};

	order->user = &dones;
	CU_ASSERT_EQUAL(pr_order_start(order, &fake.base, &out, identity, 1000, on_order), 0);
	run();
	pr_order_release(order);
}

static void test_order_is_proven(void)
{
	struct lun_identity identity = {0};
	struct pr_order order = {0};

	begin_unit(99, 99);
	do_proven_order(&order, &identity);
	CU_ASSERT_EQUAL(order.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(fake.turn, 3); /* capacity, designators, REGISTER */
	/* An attention on the REGISTER itself: proven again before it is repeated. */
	attention_at = 5;
	do_proven_order(&order, &identity);
	CU_ASSERT_EQUAL(order.exec.request.result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(order.exec.attentions.count, 1);
	CU_ASSERT_EQUAL(fake.turn, 9);
	end();
	/* Exchanged behind the proof: the attention tells, and nothing more is sent to it. */
	begin_unit(2, 2);
	do_proven_order(&order, &identity);
	CU_ASSERT_EQUAL(order.exec.request.result.outcome, SCSI_OUTCOME_FAILED);
	CU_ASSERT_EQUAL(order.exec.request.result.error, -ESTALE);
	CU_ASSERT_EQUAL(order.proof.verdict, LUN_VERDICT_OTHER);
	CU_ASSERT_EQUAL(orders_sent(), 1);
	end();
	/* Exchanged before: none is. */
	begin_unit(0, 99);
	do_proven_order(&order, &identity);
	CU_ASSERT_EQUAL(order.exec.request.result.error, -ESTALE);
	CU_ASSERT_EQUAL(orders_sent(), 0);
	end();
	lun_identity_free(&identity);
}

/* ---- pages that are longer than what is asked for first ---- */

static uint8_t long_page[20000];

static void answer_long(struct scsi_request *request, unsigned turn)
{
	(void)turn;
	if (request->cdb[0] == 0x12 && request->cdb[1] == 0)
		good(request, inquiry_data, sizeof(inquiry_data));
	else if (request->cdb[0] == 0x12 && request->cdb[2] == 0x83)
		good(request, long_page,
		     request->data_length < sizeof(long_page) ? request->data_length
							      : sizeof(long_page));
	else
		sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x24, 0x00);
}

/* Many designators of ports, and the unit's behind them. */
static void make_long_page(void)
{
	size_t at = 4;

	memset(long_page, 0, sizeof(long_page));
	while (at + 12 < sizeof(long_page)) {
		bool last = at + 24 > sizeof(long_page);
		const uint8_t port[12] = {0x51, 0x93, 0, 8, 0x50, 7},
			      unit[12] = {1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7};

		memcpy(long_page + at, last ? unit : port, 12);
		at += 12;
	}
	long_page[1] = 0x83;
	bytes_put_be16(long_page + 2, (uint16_t)(at - 4));
}

static void test_long_page(void)
{
	struct lun_identify identify = {.user = &dones, .wanted = "naa.5001020304050607"};
	struct lun_identity identity = {.wanted = "naa.5001020304050607"};
	struct lun_proof proof = {0};

	make_long_page();
	begin(answer_long);
	lun_identify_start(&identify, &fake.base, 1000, on_identify);
	run();
	CU_ASSERT_STRING_EQUAL(identify.wwid, "naa.5001020304050607");
	CU_ASSERT_TRUE(identify.wanted_present);
	lun_identify_release(&identify);
	do_proof(&proof, &identity);
	CU_ASSERT_EQUAL(proof.verdict, LUN_VERDICT_SAME);
	CU_ASSERT_TRUE(identity.page_length > 19900);
	lun_proof_release(&proof);
	lun_identity_free(&identity);
	end();
}

static CU_TestInfo tests[] = {
	{"proof", test_proof},
	{"proof wants what is configured", test_proof_wants_what_is_configured},
	{"proof without an answer", test_proof_without_an_answer},
	{"order is proven", test_order_is_proven},
	{"long page", test_long_page},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("proofs", tests);
}
