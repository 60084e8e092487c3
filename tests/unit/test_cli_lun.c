/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lun commands' pure parts: ranges of devices, steps and scripts, keys in words, what a plan
 * sends and what it calls dangerous, the probe's verdict, and the kernel's disks in a made-up
 * sysfs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/core/key.h"
#include "tests/unit/unit.h"
#include "tools/lun/lun.h"
#include "tools/lun/kernel.h"
#include "tools/lun/probe.h"

/* Ranges. */

static void expect_words(const char *pattern, const char *expected)
{
	char message[200], joined[400] = "";
	size_t count = 0;
	char **words = lun_expand(pattern, &count, message, sizeof(message));

	CU_ASSERT_PTR_NOT_NULL_FATAL(words);
	for (size_t i = 0; i < count; i++)
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
			 i ? " " : "", words[i]);
	CU_ASSERT_STRING_EQUAL(joined, expected);
	lun_expand_free(words);
}

static void test_ranges(void)
{
	expect_words("/dev/sda", "/dev/sda");
	expect_words("x/{1-3}", "x/1 x/2 x/3");
	expect_words("x/{1..3}", "x/1 x/2 x/3");
	expect_words("x/{08-11}", "x/08 x/09 x/10 x/11");
	expect_words("{a,b}/{1-2}", "a/1 a/2 b/1 b/2");
	expect_words("x{1,5-6,9}y", "x1y x5y x6y x9y");
	expect_words("x{3-1}", "x3-1");
	expect_words("x{a-c}", "xa-c");
}

static void test_ranges_refused(void)
{
	char message[200];
	size_t count;

	CU_ASSERT_PTR_NULL(lun_expand("x{1-3", &count, message, sizeof(message)));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "without }"));
	CU_ASSERT_PTR_NULL(lun_expand("x{}", &count, message, sizeof(message)));
	CU_ASSERT_PTR_NULL(lun_expand("x{1-999999999}", &count, message, sizeof(message)));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "more than"));
	CU_ASSERT_PTR_NULL(lun_expand("x{1-300}{1-300}", &count, message, sizeof(message)));
}

/* Scripts. */

static void test_script(void)
{
	struct lun_script script;
	char message[300] = "";

	CU_ASSERT_EQUAL_FATAL(lun_script_parse(&script,
					       "register --key 0x1 -Z; reserve -k1 --type we-ro;\n"
					       "# nothing\n preempt -k 1 -v ab --abort --force; "
					       "sleep 500ms;keys",
					       message, sizeof(message)),
			      0);
	CU_ASSERT_EQUAL(script.count, 5);
	CU_ASSERT_EQUAL(script.steps[0].verb, LUN_VERB_REGISTER);
	CU_ASSERT_EQUAL(script.steps[0].key.value, 1);
	CU_ASSERT_TRUE(script.steps[0].aptpl);
	CU_ASSERT_EQUAL(script.steps[1].type, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
	CU_ASSERT_EQUAL(script.steps[2].victim.value, 0xab);
	CU_ASSERT_TRUE(script.steps[2].abort && script.steps[2].force);
	CU_ASSERT_EQUAL(script.steps[3].sleep_ms, 500);
	CU_ASSERT_EQUAL(script.steps[4].verb, LUN_VERB_KEYS);
	lun_script_free(&script);
}

static void expect_script_refused(const char *text, const char *says)
{
	struct lun_script script;
	char message[300] = "";

	CU_ASSERT_NOT_EQUAL(lun_script_parse(&script, text, message, sizeof(message)), 0);
	if (!strstr(message, says)) {
		CU_FAIL("another message");
		printf("\n    %s: \"%s\", not \"%s\"\n", text, message, says);
	}
}

static void test_script_refused(void)
{
	expect_script_refused("regster --key 1", "did you mean register?");
	expect_script_refused("register", "--key is missing");
	expect_script_refused("keys; reserve --tpye 5", "did you mean --type?");
	expect_script_refused("reserve --key 1 --type 9", "--type wants");
	expect_script_refused("preempt --key 1", "--victim is missing");
	expect_script_refused("show --key 1", "unknown option");
	expect_script_refused("sleep", "missing");
	expect_script_refused("sleep 5", "with its unit");
	expect_script_refused("register --key 'x", "quote");
	expect_script_refused("register --key 1 --to-initiator iqn.x", "--move");
	expect_script_refused("register --move --key 1 --new-key 2", "--to-initiator is missing");
	expect_script_refused("register --move --key 1 --new-key 2 --to-initiator foo",
			      "no iSCSI name");
	expect_script_refused("reserve -k 1 --path 0 --all-paths", "not both");
}

static void test_transport_id(void)
{
	struct lun_script script;
	char message[300] = "", text[300];

	CU_ASSERT_EQUAL_FATAL(
		lun_script_parse(&script,
				 "register --move --key 1 --new-key 2 --to-initiator "
				 "iqn.2024-01.x:tom --to-isid 0x804c4b500100 --target-port 1",
				 message, sizeof(message)),
		0);
	CU_ASSERT_EQUAL(script.steps[0].transport_id_length % 4, 0);
	CU_ASSERT_STRING_EQUAL(pr_transport_id_text(script.steps[0].transport_id,
						    script.steps[0].transport_id_length, text,
						    sizeof(text)),
			       "iqn.2024-01.x:tom,i,0x804c4b500100");
	lun_script_free(&script);
	CU_ASSERT_EQUAL_FATAL(
		lun_script_parse(&script,
				 "register --move --key 1 --new-key 2 --to-transport-id "
				 "0600000050000000000000010000000000000000000000ff",
				 message, sizeof(message)),
		0);
	CU_ASSERT_EQUAL(script.steps[0].transport_id_length, 24);
	CU_ASSERT_EQUAL(script.steps[0].transport_id[23], 0xff);
	lun_script_free(&script);
	expect_script_refused("register --move --key 1 --new-key 2 --to-transport-id 05zz", "hex");
}

/* Keys. */

static uint64_t make_key(uint32_t cluster, enum key_kind kind, uint8_t node)
{
	struct key key = {
		.cluster = cluster, .kind = kind, .node = node, .interval = 10, .incarnation = 7};

	return key_encode(&key);
}

static void test_keys_in_words(void)
{
	struct lun_context none = {0}, context = {.has_cluster = true, .cluster = 0x12345};
	char who[200];

	CU_ASSERT_STRING_EQUAL(lun_key_who(1, &none, who, sizeof(who)), "");
	CU_ASSERT_STRING_EQUAL(lun_key_who(1, &context, who, sizeof(who)), "foreign");
	CU_ASSERT_STRING_EQUAL(lun_key_who(0x70726f6265123401u, &none, who, sizeof(who)),
			       "a `lun probe`");
	lun_key_who(make_key(0x12345, KEY_KIND_CLAIM, 3), &none, who, sizeof(who));
	CU_ASSERT_STRING_EQUAL(who, "node 3 of cluster 12345, claim 7, defends every 500 ms");
	lun_key_who(make_key(0x54321, KEY_KIND_CLAIM, 3), &context, who, sizeof(who));
	CU_ASSERT_PTR_NOT_NULL(strstr(who, "another cluster"));
}

/* Plans. */

static struct lun_look look_with(uint64_t holder, uint64_t other)
{
	struct lun_look look = {.ok = true};

	if (holder) {
		look.held = true;
		look.holder = holder;
		look.type = PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY;
		look.registrations[look.count++] =
			(struct lun_registration){.key = holder, .holder = true};
	}
	if (other)
		look.registrations[look.count++] = (struct lun_registration){.key = other};
	look.available = look.count;
	return look;
}

static struct lun_plan plan_for(const char *step, const struct lun_look *look, bool cluster,
				const char *own)
{
	static struct lun_plan plan;
	struct lun_context context = {.has_cluster = cluster, .cluster = 0x12345};
	struct lun_script script;
	char message[300] = "";

	CU_ASSERT_EQUAL_FATAL(lun_script_parse(&script, step, message, sizeof(message)), 0);
	lun_plan_make(&plan, &script.steps[0], look, &context, own);
	lun_script_free(&script);
	return plan;
}

static void test_plan_orders(void)
{
	struct lun_look look = look_with(0, 0);
	struct lun_plan plan = plan_for("register --key 1", &look, false, "");

	CU_ASSERT_EQUAL(plan.order.action, PR_OUT_REGISTER);
	CU_ASSERT_EQUAL(plan.order.key, 0);
	CU_ASSERT_EQUAL(plan.order.service_key, 1);
	plan = plan_for("register --key 1 --new-key 2", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.key, 1);
	CU_ASSERT_EQUAL(plan.order.service_key, 2);
	plan = plan_for("unregister --key 1", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.action, PR_OUT_REGISTER);
	CU_ASSERT_EQUAL(plan.order.key, 1);
	CU_ASSERT_EQUAL(plan.order.service_key, 0);
	plan = plan_for("register --ignore --key 1", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.action, PR_OUT_REGISTER_AND_IGNORE);
	CU_ASSERT_EQUAL(plan.order.service_key, 1);
	/* sg_persist --register --param-rk=1 unregisters */
	plan = plan_for("register --param-rk 1", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.key, 1);
	CU_ASSERT_EQUAL(plan.order.service_key, 0);
	plan = plan_for("register --param-rk 1 --param-sark 9", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.service_key, 9);
	plan = plan_for("reserve --key 1", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.type, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
	plan = plan_for("preempt --key 1 --victim 2 --abort", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.action, PR_OUT_PREEMPT_AND_ABORT);
	CU_ASSERT_EQUAL(plan.order.service_key, 2);
	look = look_with(1, 0);
	plan = plan_for("release --key 1", &look, false, "");
	CU_ASSERT_EQUAL(plan.order.type, PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY);
	CU_ASSERT_FALSE(plan.dangerous);
	CU_ASSERT_EQUAL(plan.effect_count, 1);
}

static void test_plan_finds_own_key(void)
{
	struct lun_look look = look_with(5, 6);
	struct lun_plan plan = plan_for("reserve", &look, false, "iqn.x,i,0x1");

	CU_ASSERT_TRUE(plan.refused);
	look.full = true;
	strcpy(look.registrations[1].transport_id, "iqn.x,i,0x1");
	plan = plan_for("reserve", &look, false, "iqn.x,i,0x1");
	CU_ASSERT_FALSE(plan.refused);
	CU_ASSERT_EQUAL(plan.order.key, 6);
	look.full = false;
	look.own_key = 5;
	plan = plan_for("reserve", &look, false, "iqn.x,i,0x1");
	CU_ASSERT_EQUAL(plan.order.key, 5);
}

static void test_clear_names_everybody(void)
{
	struct lun_look look = look_with(0x10, 0x20);
	struct lun_plan plan = plan_for("clear --key 10", &look, false, "");

	CU_ASSERT_TRUE(plan.dangerous);
	CU_ASSERT_EQUAL(plan.effect_count, 2);
	CU_ASSERT_EQUAL(plan.effects[0].key, 0x10);
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.effects[0].text, "and the reservation"));
	CU_ASSERT_PTR_NULL(strstr(plan.effects[1].text, "and the reservation"));
	look = look_with(0, 0x10);
	plan = plan_for("clear --key 10", &look, false, "");
	CU_ASSERT_FALSE(plan.dangerous);
	look = look_with(make_key(0x12345, KEY_KIND_CLAIM, 1), 0);
	plan = plan_for("clear --key 4c123451010a0007", &look, true, "");
	CU_ASSERT_TRUE(plan.dangerous);
}

static void test_preempt_of_whom(void)
{
	uint64_t owner = make_key(0x12345, KEY_KIND_CLAIM, 1);
	uint64_t leftover = make_key(0x12345, KEY_KIND_CLAIM, 2);
	struct lun_look look = look_with(owner, leftover);
	struct lun_plan plan;
	char step[100];

	snprintf(step, sizeof(step), "preempt --key 1 --victim %llx", (unsigned long long)owner);
	plan = plan_for(step, &look, true, "");
	CU_ASSERT_TRUE(plan.dangerous); /* a node that may live owns by it */
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.why, "owns the LUN"));
	snprintf(step, sizeof(step), "preempt --key 1 --victim %llx", (unsigned long long)leftover);
	plan = plan_for(step, &look, true, "");
	CU_ASSERT_FALSE(plan.dangerous); /* of this cluster, and does not hold */
	plan = plan_for(step, &look, false, "");
	CU_ASSERT_TRUE(plan.dangerous); /* nobody knows whose it is */
	look = look_with(owner, 0x99);
	plan = plan_for("preempt --key 1 --victim 99", &look, true, "");
	CU_ASSERT_TRUE(plan.dangerous);
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.why, "foreign"));
	plan = plan_for("preempt --key 1 --victim 77", &look, true, "");
	CU_ASSERT_FALSE(plan.dangerous); /* nobody loses anything */
	CU_ASSERT_NOT_EQUAL(plan.hint[0], '\0');
	look = look_with(0, 1);
	plan = plan_for("preempt --key 1 --victim 1", &look, false, "");
	CU_ASSERT_FALSE(plan.dangerous);
}

static void test_giving_up_a_nodes_key(void)
{
	uint64_t owner = make_key(0x12345, KEY_KIND_CLAIM, 1);
	struct lun_look look = look_with(owner, 0x5);
	const char *const steps[] = {"release --key 4c123451010a0007",
				     "unregister --key 4c123451010a0007",
				     "register --key 4c123451010a0007 --new-key 1"};

	for (size_t i = 0; i < 3; i++) {
		struct lun_plan plan = plan_for(steps[i], &look, true, "");

		CU_ASSERT_TRUE(plan.dangerous);
		CU_ASSERT_EQUAL(plan.effect_count, 1);
		CU_ASSERT_EQUAL(plan.effects[0].key, owner);
	}
	CU_ASSERT_FALSE(plan_for("unregister --key 5", &look, true, "").dangerous);
	CU_ASSERT_FALSE(plan_for("release --key 5", &look, true, "").dangerous);
	CU_ASSERT_TRUE(plan_for("reset", &look, true, "").dangerous);
}

static void test_ignoring_what_may_be_anothers(void)
{
	struct lun_look look = look_with(0, 0);

	CU_ASSERT_FALSE(plan_for("register --ignore --key 1", &look, false, "own").dangerous);
	look = look_with(2, 0);
	CU_ASSERT_TRUE(plan_for("register --ignore --key 1", &look, false, "own").dangerous);
	CU_ASSERT_FALSE(plan_for("register --ignore --key 2", &look, false, "own").dangerous);
	look.full = true; /* seen: somebody else's */
	strcpy(look.registrations[0].transport_id, "another");
	CU_ASSERT_FALSE(plan_for("register --ignore --key 1", &look, false, "own").dangerous);
	strcpy(look.registrations[0].transport_id, "own");
	CU_ASSERT_TRUE(plan_for("register --ignore --key 1", &look, false, "own").dangerous);
}

/* What a look shows behind a GOOD, on targets that tell whose a registration is and on others. */
static const char *proof_of(enum pr_out_action action, uint64_t key, uint64_t service_key,
			    const struct lun_look *before, const struct lun_look *after,
			    const char *own)
{
	const struct pr_out order = {.action = action,
				     .key = key,
				     .service_key = service_key,
				     .type = PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY};
	static char text[200];

	return lun_plan_prove(&order, before, after, own, text, sizeof(text));
}

static void test_proofs(void)
{
	struct lun_look empty = look_with(0, 0), five = look_with(5, 6), free_five = five,
			cut = empty;

	free_five.held = false;
	cut.available = 300;
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 0, 5, &empty, &five, ""), "");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 0, 5, &empty, &cut, ""), "");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 0, 7, &empty, &five, ""),
			       "no look shows 0x7 registered");
	five.full = true;
	snprintf(five.registrations[0].transport_id, PR_TRANSPORT_ID_MAX, "iqn.x,i,0x1");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 0, 6, &empty, &five, "IQN.X,i,0x1"),
			       "this nexus is registered with 0x5, not 0x6");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 0, 6, &empty, &five, "iqn.y,i,0x1"),
			       "0x6 is registered, but not by this nexus");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 5, 0, &five, &five, "iqn.x,i,0x1"),
			       "this nexus is still registered with 0x5");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_REGISTER, 5, 0, &free_five, &free_five, ""),
			       "0x5 is registered as before");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_RESERVE, 5, 0, &free_five, &five, ""), "");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_RESERVE, 5, 0, &free_five, &free_five, ""),
			       "nobody holds it");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_RELEASE, 5, 0, &five, &five, ""),
			       "0x5 holds it (EA-RO)");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_RELEASE, 6, 0, &five, &five, ""), "");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_PREEMPT, 6, 5, &five, &five, ""),
			       "0x5 is still registered");
	CU_ASSERT_STRING_EQUAL(proof_of(PR_OUT_CLEAR, 6, 0, &five, &empty, ""), "");
	CU_ASSERT_PTR_NOT_NULL(
		strstr(proof_of(PR_OUT_CLEAR, 6, 0, &five, &five, ""), "0x5 holds it (EA-RO)"));
	/* Every registrant holds it. */
	five.type = PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS;
	five.holder = 0;
	CU_ASSERT_TRUE(lun_look_holds(&five, 5) && lun_look_holds(&five, 6));
	CU_ASSERT_FALSE(lun_look_holds(&five, 7) || lun_look_holds(&five, 0));
}

static void test_conflicts_are_explained(void)
{
	struct lun_look look = look_with(2, 0);
	struct lun_context context = {0};
	struct lun_step step = {.verb = LUN_VERB_RESERVE};
	struct scsi_result result = {0};
	struct pr_out order = {.action = PR_OUT_RESERVE, .key = 1};
	char text[300];

	scsi_result_from_status(&result, SCSI_STATUS_RESERVATION_CONFLICT, NULL, 0);
	lun_plan_explain(&step, &order, &result, &look, &context, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "0x2 holds it"));
	look = look_with(0, 0);
	lun_plan_explain(&step, &order, &result, &look, &context, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "not registered with 0x1"));
	order.action = PR_OUT_REGISTER;
	order.key = 0;
	lun_plan_explain(&step, &order, &result, &look, &context, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "registered already"));
	scsi_result_from_transport(&result, -ETIMEDOUT);
	lun_plan_explain(&step, &order, &result, &look, &context, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "may have taken effect"));
}

/* Verdicts. */

static struct probe_report good_report(void)
{
	struct probe_report report = {.looks = 100, .look_p99_us = 1000};

	for (unsigned i = 0; i < PROBE_ITEMS; i++)
		report.items[i].answer = PROBE_ANSWER_YES;
	report.capabilities.type_mask_valid = true;
	report.capabilities.type_mask = 0x1ea;
	return report;
}

static void test_verdict(void)
{
	struct probe_report report = good_report();
	struct lun_verdict verdict;

	lun_verdict_make(&verdict, &report);
	CU_ASSERT_EQUAL(verdict.fitness, LUN_FITNESS_YES);
	CU_ASSERT_EQUAL(verdict.count, 0);
	report.items[PROBE_ITEM_APTPL].answer = PROBE_ANSWER_NO;
	lun_verdict_make(&verdict, &report);
	CU_ASSERT_EQUAL(verdict.fitness, LUN_FITNESS_LIMITED);
	CU_ASSERT_EQUAL(verdict.count, 1);
	report.items[PROBE_ITEM_COVERS_WRITE].answer = PROBE_ANSWER_NO;
	lun_verdict_make(&verdict, &report);
	CU_ASSERT_EQUAL(verdict.fitness, LUN_FITNESS_NO);
	report = good_report();
	report.capabilities.type_mask = 0x2;
	lun_verdict_make(&verdict, &report);
	CU_ASSERT_EQUAL(verdict.fitness, LUN_FITNESS_NO);
	report = good_report();
	report.end = PROBE_END_INTERRUPTED;
	lun_verdict_make(&verdict, &report);
	CU_ASSERT_EQUAL(verdict.fitness, LUN_FITNESS_UNKNOWN);
}

static void test_smallest_defend_interval(void)
{
	struct probe_report report = good_report();

	CU_ASSERT_EQUAL(lun_verdict_defend_ms(&report), 50);
	report.look_p99_us = 12500;
	CU_ASSERT_EQUAL(lun_verdict_defend_ms(&report), 50);
	report.look_p99_us = 12501;
	CU_ASSERT_EQUAL(lun_verdict_defend_ms(&report), 100);
	report.look_p99_us = 200000;
	CU_ASSERT_EQUAL(lun_verdict_defend_ms(&report), 800);
	report.looks = 0;
	CU_ASSERT_EQUAL(lun_verdict_defend_ms(&report), 0);
}

/* Files. */

static void test_kept_blocks(void)
{
	char folder[] = "/tmp/lunkeeper-unit.XXXXXX", command[100], message[300] = "";
	char blocks[1024];
	struct lun_kept kept = {8, 2, 512, blocks}, back;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	for (size_t i = 0; i < sizeof(blocks); i++)
		blocks[i] = (char)i;
	CU_ASSERT_EQUAL(lun_kept_read(folder, "naa.1", &back, message, sizeof(message)), -ENOENT);
	CU_ASSERT_EQUAL(lun_kept_write(folder, "naa.1", &kept, message, sizeof(message)), 0);
	/* never over what is kept already */
	CU_ASSERT_EQUAL(lun_kept_write(folder, "naa.1", &kept, message, sizeof(message)), -EEXIST);
	CU_ASSERT_EQUAL_FATAL(lun_kept_read(folder, "naa.1", &back, message, sizeof(message)), 0);
	CU_ASSERT_EQUAL(back.first_block, 8);
	CU_ASSERT_EQUAL(back.block_count, 2);
	CU_ASSERT_EQUAL(memcmp(back.blocks, blocks, sizeof(blocks)), 0);
	free(back.blocks);
	lun_kept_remove(folder, "naa.1");
	CU_ASSERT_EQUAL(lun_kept_read(folder, "naa.1", &back, message, sizeof(message)), -ENOENT);
	/* a name from outside stays in its folder */
	CU_ASSERT_EQUAL(lun_kept_write(folder, "../../x\"", &kept, message, sizeof(message)), 0);
	snprintf(command, sizeof(command), "%s/probe/.._.._x_.blocks", folder);
	CU_ASSERT_EQUAL(access(command, F_OK), 0);
	CU_ASSERT_EQUAL(truncate(command, 600), 0);
	CU_ASSERT_EQUAL(lun_kept_read(folder, "../../x\"", &back, message, sizeof(message)),
			-EBADMSG);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

/* A multipath map of two iSCSI disks and a plain disk. */
static void test_kernel_disks(void)
{
	char folder[] = "/tmp/lunkeeper-unit.XXXXXX", command[4000];
	struct lun_kernel kernel;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(command, sizeof(command),
		 "set -e; cd %s; mkdir -p class/scsi_disk; n=0\n"
		 "for d in 3:0:0:1/sdb/sg1 4:0:0:1/sdc/sg2 5:0:0:0/sdd/sg3; do\n"
		 "  a=${d%%%%/*}; r=${d#*/}; b=${r%%/*}; g=${r#*/}; p=class/scsi_disk/$a/device\n"
		 "  mkdir -p $p/block/$b/holders $p/scsi_generic/$g; echo running >$p/state\n"
		 "  echo 'LIO-ORG ' >$p/vendor; echo 'disk            ' >$p/model\n"
		 "  echo 2048 >$p/block/$b/size; echo naa.6001 >$p/wwid\n"
		 "done\n"
		 "for p in class/scsi_disk/3:0:0:1/device/block/sdb "
		 "class/scsi_disk/4:0:0:1/device/block/sdc\n"
		 "do mkdir -p $p/holders/dm-0/dm; echo mpath-36001 >$p/holders/dm-0/dm/uuid\n"
		 "  echo mpatha >$p/holders/dm-0/dm/name; done\n"
		 "p=class/scsi_disk/5:0:0:0/device/block/sdd; mkdir -p $p/holders/dm-1/dm\n"
		 "echo LVM-x >$p/holders/dm-1/dm/uuid; echo vg-lv >$p/holders/dm-1/dm/name\n",
		 folder);
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
	CU_ASSERT_EQUAL_FATAL(lun_kernel_read(&kernel, folder), 0);
	CU_ASSERT_EQUAL_FATAL(kernel.count, 2);
	CU_ASSERT_STRING_EQUAL(kernel.disks[0].name, "/dev/mapper/mpatha");
	CU_ASSERT_EQUAL(kernel.disks[0].path_count, 2);
	CU_ASSERT_STRING_EQUAL(kernel.disks[0].paths[1].block, "sdc");
	CU_ASSERT_STRING_EQUAL(kernel.disks[0].paths[1].generic, "sg2");
	CU_ASSERT_STRING_EQUAL(kernel.disks[0].paths[0].address, "3:0:0:1");
	CU_ASSERT_EQUAL(kernel.disks[0].size, 1 << 20);
	CU_ASSERT_STRING_EQUAL(kernel.disks[0].model, "LIO-ORG disk");
	CU_ASSERT_STRING_EQUAL(kernel.disks[1].name, "/dev/sdd");
	lun_kernel_free(&kernel);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
	CU_ASSERT_EQUAL(lun_kernel_read(&kernel, "/nonexistent"), 0);
	CU_ASSERT_EQUAL(kernel.count, 0);
}

static CU_TestInfo tests[] = {
	{"ranges", test_ranges},
	{"ranges refused", test_ranges_refused},
	{"script", test_script},
	{"script refused", test_script_refused},
	{"TransportID", test_transport_id},
	{"keys in words", test_keys_in_words},
	{"plan orders", test_plan_orders},
	{"plan finds own key", test_plan_finds_own_key},
	{"clear names everybody", test_clear_names_everybody},
	{"preempt of whom", test_preempt_of_whom},
	{"giving up a node's key", test_giving_up_a_nodes_key},
	{"ignoring what may be another's", test_ignoring_what_may_be_anothers},
	{"what a look shows behind GOOD", test_proofs},
	{"conflicts are explained", test_conflicts_are_explained},
	{"verdict", test_verdict},
	{"smallest defend interval", test_smallest_defend_interval},
	{"kept blocks", test_kept_blocks},
	{"the kernel's disks", test_kernel_disks},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("lun commands", tests);
}
