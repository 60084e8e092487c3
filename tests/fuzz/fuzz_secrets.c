/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The secrets file's text: what a fault leaves behind is nothing, what is found is complete.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct secrets nothing;
	struct secrets secrets;
	const char *problem;
	unsigned line;
	/* Of exactly this size, so that a byte read too far is seen. */
	char *text = malloc(size ? size : 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	if (secrets_parse(&secrets, "iqn.2024-01.example:san", text, size, &line, &problem) < 0) {
		assert(problem && line > 0);
		assert(memcmp(&secrets, &nothing, sizeof(secrets)) == 0);
	} else if (secrets.found) {
		assert(secrets.user[0] && secrets.secret[0]);
		assert(strlen(secrets.user) < SECRETS_FIELD_MAX &&
		       strlen(secrets.secret) < SECRETS_FIELD_MAX);
		assert(secrets.mutual == (secrets.target_user[0] && secrets.target_secret[0]));
		assert(!secrets.mutual || strcmp(secrets.secret, secrets.target_secret));
	}
	free(text);
	return 0;
}
