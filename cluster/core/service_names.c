/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a service's states, operations and reasons are called, for history and status. Pure.
 */
#include "cluster/core/service.h"

const char *service_state_name(enum service_state state)
{
	switch (state) {
	case SERVICE_STATE_STOPPED:
		return "stopped";
	case SERVICE_STATE_STARTING:
		return "starting";
	case SERVICE_STATE_RUNNING:
		return "running";
	case SERVICE_STATE_RECOVERING:
		return "recovering";
	case SERVICE_STATE_STOPPING:
		return "stopping";
	}
	return "unknown";
}

const char *service_resource_state_name(enum service_resource_state state)
{
	switch (state) {
	case SERVICE_RESOURCE_STOPPED:
		return "stopped";
	case SERVICE_RESOURCE_PROBING:
		return "probing";
	case SERVICE_RESOURCE_STARTING:
		return "starting";
	case SERVICE_RESOURCE_RUNNING:
		return "running";
	case SERVICE_RESOURCE_STOPPING:
		return "stopping";
	case SERVICE_RESOURCE_FAILED:
		return "failed";
	}
	return "unknown";
}

const char *service_operation_name(enum service_operation operation)
{
	switch (operation) {
	case SERVICE_OPERATION_START:
		return "start";
	case SERVICE_OPERATION_STOP:
		return "stop";
	case SERVICE_OPERATION_MONITOR:
		return "monitor";
	}
	return "unknown";
}

const char *service_reason_text(enum service_reason reason)
{
	static const char *const texts[SERVICE_REASON_COUNT] = {
		[SERVICE_REASON_ORDERED] = "it was ordered",
		[SERVICE_REASON_ENDED_WELL] = "it ended well",
		[SERVICE_REASON_START_FAILED] = "its start failed",
		[SERVICE_REASON_STOP_FAILED] = "its stop failed",
		[SERVICE_REASON_MONITOR_FAILED] = "its monitor failed",
		[SERVICE_REASON_FOUND_RUNNING] = "it was found running",
		[SERVICE_REASON_FOUND_STOPPED] = "it was found stopped",
		[SERVICE_REASON_REQUIRED_FAILED] = "what it requires failed",
		[SERVICE_REASON_RESTARTS_USED_UP] = "it failed too often to be restarted here",
		[SERVICE_REASON_DEPOSED] = "the LUN is lost",
	};

	return (unsigned)reason < SERVICE_REASON_COUNT ? texts[reason] : "unknown";
}
