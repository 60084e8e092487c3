/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * iscsi:// URLs from a configuration. What is accepted names itself again by lun_url_text(), and
 * has no user in it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char again[LUN_URL_HOST_MAX + LUN_URL_TARGET_MAX + 40], *text = malloc(size + 1);
	struct lun_url url, second;
	const char *problem;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (lun_url_parse(&url, text, &problem) == 0) {
		assert(iscsi_name_valid(url.target));
		assert(!strchr(url.host, '@') && url.port != 0 && url.lun <= LUN_URL_LUN_MAX);
		lun_url_text(&url, again, sizeof(again));
		assert(lun_url_parse(&second, again, &problem) == 0);
		assert(!strcmp(url.host, second.host) && !strcmp(url.target, second.target));
		assert(url.port == second.port && url.lun == second.lun);
	} else {
		assert(problem);
	}
	free(text);
	return 0;
}
