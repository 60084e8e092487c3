/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a reservation key says, in words and as JSON; and a look as JSON.
 */
#include <stdio.h>
#include <string.h>

#include "cluster/core/key.h"
#include "scsi/probe.h"
#include "tools/lun/lun.h"

bool lun_key_is_lunkeeper(uint64_t value)
{
	struct key key;

	return key_decode(&key, value);
}

static bool lun_key_is_foreign(const struct key *key, const struct lun_context *context)
{
	return context->has_cluster && key->cluster != context->cluster;
}

/* "jerry (1)", "node 1 of cluster 1a2b3" */
static void lun_key_node_text(const struct key *key, const struct lun_context *context,
			      char *buffer, size_t size)
{
	const struct config_node *node = NULL;

	if (!context->has_cluster || key->cluster != context->cluster) {
		snprintf(buffer, size, "node %u of %scluster %05x", key->node,
			 context->has_cluster ? "another " : "", (unsigned)key->cluster);
		return;
	}
	if (context->config)
		node = config_find_node_id(context->config, key->node);
	if (node)
		snprintf(buffer, size, "%s (%u)", node->name, key->node);
	else
		snprintf(buffer, size, "node %u (not in the configuration)", key->node);
}

static void lun_key_offer_text(const struct key *key, const struct lun_context *context,
			       char *buffer, size_t size)
{
	const struct config_node *node =
		context->config ? config_find_node_id(context->config, key->interval) : NULL;

	if (key->interval == KEY_NODE_ANY)
		snprintf(buffer, size, "to any node");
	else if (node)
		snprintf(buffer, size, "to %s (%u)", node->name, key->interval);
	else
		snprintf(buffer, size, "to node %u", key->interval);
}

const char *lun_key_who(uint64_t value, const struct lun_context *context, char *buffer,
			size_t size)
{
	struct key key;
	char node[96], more[96];

	buffer[0] = '\0';
	if (probe_key_is_probe(value)) {
		snprintf(buffer, size, "a `lun probe`");
	} else if (!key_decode(&key, value)) {
		if (context->has_cluster)
			snprintf(buffer, size, "foreign");
	} else {
		lun_key_node_text(&key, context, node, sizeof(node));
		if (key.kind == KEY_KIND_OFFER)
			lun_key_offer_text(&key, context, more, sizeof(more));
		else
			snprintf(more, sizeof(more), "defends every %u ms",
				 key.interval * KEY_INTERVAL_UNIT_MS);
		snprintf(buffer, size, "%s, %s %u, %s", node, key_kind_name(key.kind),
			 key.incarnation, more);
	}
	return buffer;
}

static void lun_key_json_decoded(json_t *object, const struct key *key,
				 const struct lun_context *context)
{
	char cluster[8];
	const struct config_node *node = NULL;

	snprintf(cluster, sizeof(cluster), "%05x", (unsigned)key->cluster);
	json_object_set_new(object, "cluster_hash", json_string(cluster));
	if (context->has_cluster && key->cluster == context->cluster && context->config) {
		json_object_set_new(object, "cluster", json_string(context->config->cluster));
		node = config_find_node_id(context->config, key->node);
	}
	json_object_set_new(object, "kind", json_string(key_kind_name(key->kind)));
	json_object_set_new(object, "node", node ? json_string(node->name) : json_null());
	json_object_set_new(object, "node_id", json_integer(key->node));
	json_object_set_new(object, "incarnation", json_integer(key->incarnation));
	if (key->kind == KEY_KIND_OFFER)
		json_object_set_new(object, "offered_to", json_integer(key->interval));
	else
		json_object_set_new(object, "defend_ms",
				    json_integer(key->interval * KEY_INTERVAL_UNIT_MS));
}

json_t *lun_key_json(uint64_t value, const struct lun_context *context)
{
	json_t *object = json_object();
	char text[KEY_TEXT_SIZE], who[LUN_MESSAGE_MAX];
	struct key key;
	bool decoded = key_decode(&key, value);

	json_object_set_new(object, "key", json_string(key_text(value, text)));
	json_object_set_new(object, "who",
			    json_string(lun_key_who(value, context, who, sizeof(who))));
	if (context->has_cluster)
		json_object_set_new(object, "ours",
				    json_boolean(decoded && !lun_key_is_foreign(&key, context)));
	if (decoded)
		lun_key_json_decoded(object, &key, context);
	else if (probe_key_is_probe(value))
		json_object_set_new(object, "kind", json_string("probe"));
	return object;
}

bool lun_look_has_key(const struct lun_look *look, uint64_t key)
{
	for (unsigned i = 0; i < look->count; i++) {
		if (look->registrations[i].key == key)
			return true;
	}
	return false;
}

json_t *lun_look_json(const struct lun_look *look, const struct lun_context *context)
{
	json_t *object = json_object(), *keys = json_array(), *holder;

	json_object_set_new(object, "generation", json_integer(look->generation));
	if (look->held && lun_type_is_all_registrants(look->type)) {
		json_object_set_new(object, "holder",
				    json_pack("{s:b, s:s, s:s, s:s}", "all_registrants", 1, "key",
					      "0000000000000000", "who",
					      "every registrant holds it", "type",
					      pr_type_short_name(look->type)));
	} else if (look->held) {
		holder = lun_key_json(look->holder, context);
		if (look->available <= look->count && !lun_look_has_key(look, look->holder))
			json_object_set_new(
				holder, "who",
				json_string("registered by nobody: the target's answers "
					    "do not agree"));
		json_object_set_new(holder, "type", json_string(pr_type_short_name(look->type)));
		json_object_set_new(object, "holder", holder);
	} else {
		json_object_set_new(object, "holder", json_null());
	}
	for (unsigned i = 0; i < look->count; i++) {
		const struct lun_registration *registration = &look->registrations[i];
		json_t *key = lun_key_json(registration->key, context);

		json_object_set_new(key, "holds", json_boolean(registration->holder));
		if (look->full) {
			json_object_set_new(key, "initiator",
					    json_string(registration->transport_id));
			json_object_set_new(key, "target_port", json_integer(registration->port));
			json_object_set_new(key, "all_target_ports",
					    json_boolean(registration->all_ports));
		}
		json_array_append_new(keys, key);
	}
	json_object_set_new(object, "keys", keys);
	if (look->available > look->count)
		json_object_set_new(object, "keys_not_shown",
				    json_integer(look->available - look->count));
	json_object_set_new(object, "full_status", json_boolean(look->full));
	json_object_set_new(object, "answer_us", json_integer(look->duration_us));
	return object;
}
