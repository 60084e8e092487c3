/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * /dev/sgN: commands by libsgutils2's pass-through, LOGICAL UNIT RESET by the sg driver's ioctl.
 */
#include "scsi/sg_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <scsi/sg.h>
#include <scsi/sg_pt.h>

/* The kernel's scsi_ioctl.h has it, glibc's scsi/sg.h does not. */
#ifndef SG_SCSI_RESET_NO_ESCALATE
#define SG_SCSI_RESET_NO_ESCALATE 0x100
#endif

/* Linux's host bytes (scsi_status.h), those that say more than "it failed". */
enum sg_host_byte {
	SG_HOST_NO_CONNECT = 0x01,
	SG_HOST_TIME_OUT = 0x03,
	SG_HOST_TRANSPORT_DISRUPTED = 0x0e,
	SG_HOST_TRANSPORT_FAILFAST = 0x0f,
};

/* O_NONBLOCK: neither an exclusive user nor the error handler may hold up the opening. */
static int sg_backend_open(const char *device)
{
	int fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void sg_backend_close(int fd)
{
	close(fd);
}

static void sg_exchange_fail(struct sg_exchange *exchange, int error)
{
	exchange->gone = error == -ENODEV || error == -ENXIO;
	scsi_result_from_transport(&exchange->result, exchange->gone ? -ENOTCONN : error);
}

static int sg_error_from_host_byte(int host_byte)
{
	switch (host_byte) {
	case SG_HOST_NO_CONNECT:
	case SG_HOST_TRANSPORT_DISRUPTED:
	case SG_HOST_TRANSPORT_FAILFAST:
		return -ENOTCONN;
	case SG_HOST_TIME_OUT:
		return -ETIMEDOUT;
	}
	return -EIO;
}

static void sg_backend_answer(struct sg_exchange *exchange, const struct sg_pt_base *pt,
			      const uint8_t *sense)
{
	int status = get_scsi_pt_status_response(pt);
	int sense_length = get_scsi_pt_sense_len(pt);
	int category = get_scsi_pt_result_category(pt);
	int residual = get_scsi_pt_resid(pt);

	if (category == SCSI_PT_RESULT_OS_ERR) {
		sg_exchange_fail(exchange, -get_scsi_pt_os_err(pt));
		return;
	}
	/* A status other than GOOD can only have come from the device, whatever the host adapter
	 * says beside it. */
	if (category == SCSI_PT_RESULT_TRANSPORT_ERR && status <= 0) {
		sg_exchange_fail(exchange, sg_error_from_host_byte(get_scsi_pt_transport_err(pt)));
		return;
	}
	scsi_result_from_status(&exchange->result, (uint8_t)status, sense,
				sense_length > 0 ? (size_t)sense_length : 0);
	if (residual >= 0 && (uint32_t)residual <= exchange->data_length)
		exchange->result.transferred = exchange->data_length - (uint32_t)residual;
}

static void sg_backend_execute(int fd, struct sg_exchange *exchange)
{
	struct sg_pt_base *pt = construct_scsi_pt_obj_with_fd(fd, 0);
	uint8_t sense[SCSI_SENSE_MAX] = {0};
	int rc;

	if (!pt) {
		sg_exchange_fail(exchange, -ENOMEM);
		return;
	}
	set_scsi_pt_cdb(pt, exchange->cdb, exchange->cdb_length);
	set_scsi_pt_sense(pt, sense, sizeof(sense));
	if (exchange->direction == SCSI_DIRECTION_IN)
		set_scsi_pt_data_in(pt, exchange->data, (int)exchange->data_length);
	else if (exchange->direction == SCSI_DIRECTION_OUT)
		set_scsi_pt_data_out(pt, exchange->data, (int)exchange->data_length);
	rc = do_scsi_pt(pt, fd, (int)exchange->kernel_timeout_s, 0);
	if (rc == 0)
		sg_backend_answer(exchange, pt, sense);
	else
		sg_exchange_fail(exchange, rc < 0                     ? rc
					   : rc == SCSI_PT_DO_TIMEOUT ? -ETIMEDOUT
								      : -EIO);
	destruct_scsi_pt_obj(pt);
}

/* The function of the device only (SAM-5 7.7): escalating to the bus or the host would hit other
 * LUNs and nodes. */
static void sg_backend_reset_logical_unit(int fd, struct sg_exchange *exchange)
{
	int what = SG_SCSI_RESET_DEVICE | SG_SCSI_RESET_NO_ESCALATE;

	if (ioctl(fd, SG_SCSI_RESET, &what) < 0)
		sg_exchange_fail(exchange, -errno);
	else
		scsi_result_from_status(&exchange->result, SCSI_STATUS_GOOD, NULL, 0);
}

const struct sg_backend sg_backend_kernel = {
	.open = sg_backend_open,
	.close = sg_backend_close,
	.execute = sg_backend_execute,
	.reset_logical_unit = sg_backend_reset_logical_unit,
};
