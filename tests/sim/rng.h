/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator's own random numbers (xorshift64*, seeded through splitmix64): the same on every
 * machine, so that a seed is a schedule.
 */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15u;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
	return value ^ (value >> 31);
}

static inline void rng_seed(struct rng *rng, uint64_t seed)
{
	rng->state = rng_mix(seed);
	if (rng->state == 0)
		rng->state = 1;
}

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t value = rng->state;

	value ^= value >> 12;
	value ^= value << 25;
	value ^= value >> 27;
	rng->state = value;
	return value * 0x2545f4914f6cdd1du;
}

/* 0..bound-1; bound is not 0. */
static inline uint32_t rng_below(struct rng *rng, uint32_t bound)
{
	return (uint32_t)(((rng_next(rng) >> 32) * bound) >> 32);
}

/* from..to, both included. */
static inline uint64_t rng_between(struct rng *rng, uint64_t from, uint64_t to)
{
	uint64_t span = to - from + 1;

	return from + (span > UINT32_MAX ? rng_next(rng) % span : rng_below(rng, (uint32_t)span));
}

/* True in `parts` of a million. */
static inline bool rng_chance(struct rng *rng, uint32_t parts)
{
	return parts != 0 && rng_below(rng, 1000000) < parts;
}

#endif
