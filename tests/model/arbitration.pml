/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ownership protocol of docs/arbitration.md, for Spin: one LUN, an owner and two challengers, each of which may
 * become either. Exhaustive within the bounds below; docs/model.md tells what is abstracted and how large it is.
 *
 * The target is a value: a registered key for each node's nexus, and the holder. A command executes in one step; it may
 * also be given up, and then executes at any later time or never, even after its node's restart. Looks are
 * taken in one step and acted on in a later one, so every decision may rest on a look that has become old. A pause
 * needs no step: a node that takes none is paused. The gate's writes move by themselves: they wait below the gate, are
 * admitted by the target if the nexus is registered (or nobody holds), and land at any later time.
 *
 * Three variants, by what time means:
 *   (none)    windows close whenever they like, also against a healthy owner. Safety must not rest on timing.
 *   TIMELY    a window fills only when the owner was silent in it, so that "a healthy owner stays" can be said. No data.
 *   LIVE      TIMELY with crash, pause, restart and unfitness as explicit, bounded faults, for liveness with weak
 *             fairness. Heartbeats tell who is well; with PROBES=1 every standby challenges for ever besides.
 * and two kinds of target:
 *   TGT       PREEMPT without ABORT, then LOGICAL UNIT RESET.
 *   POWERCUTS=1  a power cut without APTPL: all registrations gone, the LUN free under a running owner.
 *
 * Safety, by assertions:
 *   S1  no write of a deposed owner lands after its successor's first write             (land)
 *   S2  the target never admits the writes of two open gates                            (check_admission)
 *   S3  a gate opens only after a look, begun after the node's last PR OUT, that showed its own fresh key as
 *       the holder's; and a service that waited behind a held gate goes on only if nobody else owned meanwhile  (UNGATE)
 *   S4  no node gives up the registration that holds                                    (execute; not with POWERCUTS)
 *   L2  (TIMELY) an owner that was not silent, and offered nothing, is not deposed      (execute)
 * Liveness, by formulas at the end: l1, l3, l3_probes.
 *
 * BREAK_... takes a rule out; each must make some property fail. tests/model/run runs it all.
 */
#ifndef LOSSES
#define LOSSES 1 /* commands given up */
#endif
#ifndef LATE_EACH
#define LATE_EACH 1 /* of them at once and node, at most 2 */
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* of machines or daemons */
#endif
#ifndef POWERCUTS
#define POWERCUTS 0
#endif
#ifdef LIVE
#define TIMELY
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef PAUSES
#define PAUSES 0
#endif
#ifndef UNFITS
#define UNFITS 0
#endif
#ifndef PROBES
#define PROBES 0
#endif
#endif
#ifndef TIMELY
#define DATA
#endif
#if defined(TGT) || POWERCUTS > 0
#define RESETS
#endif
#if defined(BREAK_REUSE_KEY) || defined(BREAK_RESTART_KEY) || defined(BREAK_EXPECTED)
#define KEYS_RETURN
#endif

#define N 3
#define NOBODY N

/* A key is a small number of its node. A fresh one is the smallest that nobody remembers: which it is makes no
 * difference, only whether two are the same. DEAD stands for every key that no nexus bears or can come to bear. */
#define KEYS 5
#define NO_KEY 0
#define DEAD 7

mtype:gate = { OPEN, HELD, FAILED };
mtype:command = { NONE, REGISTER, RESERVE, PREEMPT, PREEMPT_ABORT, RESET };
/* What a node does next: */
mtype:state = {
	STANDBY,				/* nothing, or look for a reason to challenge */
	CHALLENGE, WINDOW, TAKE,		/* register; look until the window is full; preempt or reserve */
	LOOK,					/* the look that decides */
	CLEAR, FLUSH, UNGATE,			/* holder: preempt other keys; reset the unit; open the gate */
	SWAP,					/* holder: re-key to a fresh key */
	REKEY, UNREGISTER,			/* not the holder: give the registration back */
	OWNER, DEFEND,				/* look; turn a challenger away */
	STOP, OFFER, OFFERED, DEFEND_OFFER,	/* unfit: wait for quiet; re-key to an offer; wait for a taker */
	REASSERT, RETAKE,			/* after a power cut: register, reserve */
	BOOT					/* a daemon that finds its gate as it left it */
};
mtype:write = { IDLE, WAITS, ADMITTED };
mtype:tenure = { CURRENT, SUPERSEDED, DEPOSED };

/* The target. */
byte reg[N];
byte holder = NOBODY;

/* The nodes. seen: the holder's key that a challenger remembers, or the key that is to be preempted. */
mtype:state st[N] = STANDBY;
mtype:gate gate[N] = FAILED;
byte cur[N];
byte seen[N], seen_node[N];

/* Given-up commands: late[a] is node a's, late[a + N] the one that it gave up before that and that may land as well. */
#define LATE (N * LATE_EACH)
mtype:command late[LATE] = NONE;
byte late_own[LATE], late_key[LATE], late_node[LATE];

byte losses, restarts, powercuts;
byte i, j, k, used;
mtype:command late_op = NONE;

/* Ghosts. looked: S3's look was taken. term[n], write_term[n]: from whose tenure node n's writes are, those to come and the
 * one in flight: SUPERSEDED once the reservation went to another, DEPOSED once that one has written. */
bit looked[N];
#ifdef DATA
mtype:write w[N] = IDLE;
mtype:tenure term[N] = CURRENT, write_term[N] = CURRENT;
#endif

/* flush: queued writes of others must be dropped before this node's gate opens. */
#ifdef RESETS
bit flush[N];
#define must_flush(a) flush[a]
#define set_flush(a, v) flush[a] = v
#else
#define must_flush(a) false
#define set_flush(a, v) skip
#endif

/* ill (ghost): silent at some time since it became the holder, or since its last look that showed itself as holder and
 * nobody else registered. gap: the owner was silent in this challenger's window. */
#ifdef TIMELY
bit ill[N] = 1;
bit gap[N];
#define set_ill(a, v) ill[a] = v
#define no_gap(a) gap[a] = 0
#else
#define set_ill(a, v) skip
#define no_gap(a) skip
#endif

#ifdef LIVE
bit down[N], paused[N], unfit[N];
byte crashes, pauses, unfits;
byte offer[N];   /* which key of the node is an offer, to any */
byte cleared[N]; /* other nodes whose keys this winner has preempted already */
#define at(s) (st[me] == s && !down[me] && !paused[me])
#define is_offer(a) (offer[a] != NO_KEY && offer[a] == reg[a])
#define silent_now(a) (down[a] || paused[a])
#define clear_cleared(a) cleared[a] = 0
#define but_cleared(a) cleared[a]
#if PROBES
byte last[N];
#endif
#else
#define at(s) (st[me] == s)
#define is_offer(a) false
#define silent_now(a) false
#define clear_cleared(a) skip
#define but_cleared(a) 0
#endif

/* ---- the rules, and what takes them out ---- */

#if LATE_EACH > 1
#define late_any(a, is) (is(a) || is((a) + N))
#define late_free(a) (late[a] == NONE || late[(a) + N] == NONE)
#else
#define late_any(a, is) (is(a))
#define late_free(a) (late[a] == NONE)
#endif
#define registers_anew(l) (late[l] == REGISTER && late_own[l] == NO_KEY)
#define late_registers(a, key) (late[a] == REGISTER && late_key[a] == (key))
#if LATE_EACH > 1
#define may_be_borne(a, key) (reg[a] == (key) || late_registers(a, key) || late_registers((a) + N, key))
#else
#define may_be_borne(a, key) (reg[a] == (key) || late_registers(a, key))
#endif
#define is_preempt(op) ((op) == PREEMPT || (op) == PREEMPT_ABORT)
#define same_holder(a) ((holder == NOBODY && seen[a] == NO_KEY) || \
	(holder != NOBODY && seen[a] != NO_KEY && holder == seen_node[a] && reg[holder] == seen[a]))
#ifdef TIMELY
#define AT_TAKE TAKE
#define window_full(a) (reg[a] == cur[a] && same_holder(a) && \
	(holder == NOBODY || gap[a] || silent_now(holder) || is_offer(holder)))
#else
#define AT_TAKE WINDOW
#endif
#ifdef LIVE
#define reason(a) (!unfit[a] && (PROBES || holder == NOBODY || silent_now(holder) || unfit[holder] || is_offer(holder)))
#else
#define reason(a) true
#endif
#if defined(DATA) && !defined(BREAK_NOT_QUIET)
#define quiet(a) (w[a] == IDLE)
#else
#define quiet(a) true
#endif
#if defined(BREAK_GATE_REGISTERING) || !defined(DATA)
#define quiet_to_reassert(a) true
#else
#define quiet_to_reassert(a) (w[a] == IDLE)
#endif

/* The given-up REGISTER that could still make this node a registrant after it was deposed has come to its end. */
#ifdef BREAK_LATE_REGISTER
#define settled(a) true
#else
#define settled(a) (!late_any(a, registers_anew))
#endif
#ifdef BREAK_UNREGISTER
#define may_take_late(a) false
#else
#define takes(l) ((late[l] == RESERVE || is_preempt(late[l])) && late_own[l] == reg[(l) % N])
#define may_take_late(a) late_any(a, takes)
#endif
/* Only who has owned without a break, so far as its looks can tell, re-asserts. */
#ifdef BREAK_REASSERT
#define may_reassert(a) true
#else
#define may_reassert(a) (term[a] == CURRENT)
#endif
#ifdef BREAK_OWN_HOLDER
#define found_holding(a) false
#else
#define found_holding(a) (holder == a)
#endif
#ifdef BREAK_EXPECTED
#define expected(a, key) true
#else
#define expected(a, key) (reg[a] == (key))
#endif
#if defined(TGT) || defined(BREAK_NO_ABORT)
#define TAKE_BY PREEMPT
#else
#define TAKE_BY PREEMPT_ABORT
#endif
#ifdef BREAK_BELIEVE_GOOD
#define AFTER_TAKE UNGATE
#else
#define AFTER_TAKE LOOK
#endif
#ifdef BREAK_ANY_KEY
#define VICTIM holder
#define VICTIM_KEY (holder == NOBODY -> DEAD : reg[holder])
#else
#define VICTIM seen_node[me]
#define VICTIM_KEY seen[me]
#endif
/* Who must reset the unit: a winner, since it cannot know whether the one before it got as far as that. */
#if defined(BREAK_NO_RESET)
#define flush_after_challenge(a) 0
#elif defined(BREAK_RESET_ONCE)
#define flush_after_challenge(a) (seen[a] == NO_KEY)
#else
#define flush_after_challenge(a) 1
#endif
#ifdef BREAK_RESTART_RESET
#define flush_after_restart 0
#else
#define flush_after_restart 1
#endif
#ifdef BREAK_UNFIT_KEEPS
#define gives_up(a) false
#elif defined(LIVE)
#define gives_up(a) unfit[a]
#else
#define gives_up(a) false
#endif

#include "target.pml"

/* ---- steps of a node ---- */

#define may_lose(a) (losses < LOSSES && late_free(a))

inline go(me, next)
{
	st[me] = next;
	if
	:: next != WINDOW -> seen[me] = NO_KEY; seen_node[me] = 0; no_gap(me)
	:: else
	fi;
	tidy()
}

/* A command: answered, or given up and perhaps executed later. What comes next does not depend on it. */
#define SEND(when, op, own, key, node, next) \
	:: d_step { (when) -> looked[me] = 0; execute(me, op, own, key, node); go(me, next) } \
	:: d_step { ((when) && may_lose(me)) -> looked[me] = 0; losses++; make_room(me); \
		late[me] = op; late_own[me] = own; late_key[me] = key; late_node[me] = node; \
		go(me, next) }

#define LATE_LANDS(l) \
	:: d_step { late[l] != NONE -> late_op = late[l]; late[l] = NONE; \
		execute(me, late_op, late_own[l], late_key[l], late_node[l]); \
		late_op = NONE; forget_late(l); tidy() } \
	:: d_step { late[l] != NONE -> forget_late(l); tidy() }

/* REGISTER of a fresh key in place of `old`. */
#define SEND_FRESH(when, old, next) \
	:: d_step { (when) -> looked[me] = 0; fresh(me); execute(me, REGISTER, old, k, 0); \
		now_offer(next); cur[me] = k; k = 0; go(me, next) } \
	:: d_step { ((when) && may_lose(me)) -> looked[me] = 0; losses++; make_room(me); fresh(me); \
		late[me] = REGISTER; late_own[me] = old; late_key[me] = k; late_node[me] = 0; \
		now_offer(next); cur[me] = k; k = 0; go(me, next) }

inline now_offer(next)
{
#ifdef LIVE
	if
	:: next == OFFERED -> offer[me] = k
	:: else
	fi
#else
	skip
#endif
}

/* Closes the gate. A write that was issued before, and has not reached the target, stays in flight. */
inline close(me, how)
{
#ifdef DATA
	if
	:: gate[me] == OPEN && w[me] == IDLE -> w[me] = WAITS; write_term[me] = term[me]
	:: else
	fi;
#endif
	gate[me] = how
}

inline rest(me)
{
	st[me] = STANDBY; cur[me] = NO_KEY; seen[me] = NO_KEY; seen_node[me] = 0; looked[me] = 0;
	clear_cleared(me); set_flush(me, 0); set_ill(me, 1); no_gap(me);
#ifdef DATA
	if
	:: gate[me] == FAILED -> term[me] = CURRENT
	:: else
	fi
#endif
}

/* Registered and not the holder: gives the registration back. While a RESERVE or PREEMPT that was given up could still
 * succeed with this key, an unregistering command could free a LUN that it has just taken; so the key is changed first,
 * and a look decides again. */
inline give_back(me)
{
	cur[me] = reg[me]; seen[me] = NO_KEY; seen_node[me] = 0; no_gap(me); set_flush(me, flush_after_restart);
	if
	:: may_take_late(me) -> st[me] = REKEY
	:: else -> st[me] = UNREGISTER
	fi;
	tidy()
}

/* j: another registered node, none of `but`; N: there is none */
inline find_other(me, but)
{
	j = 0;
#if defined(LIVE) && PROBES
	j = last[me] + 1; /* in turn, as an owner preempts every challenger that it sees */
#endif
	do
	:: j < N && (j == me || reg[j] == NO_KEY || (but & (1 << j))) -> j++
	:: else -> break
	od;
#if defined(LIVE) && PROBES
	if
	:: j == N ->
		j = 0;
		do
		:: j < N && (j == me || reg[j] == NO_KEY || (but & (1 << j))) -> j++
		:: else -> break
		od
	:: else
	fi;
	last[me] = (j < N -> j : 0)
#endif
}

inline well_if_alone(me)
{
#ifdef TIMELY
	ill[me] = (j < N -> ill[me] : 0)
#else
	skip
#endif
}

/* `who` was silent for so long that a window against it may fill. */
inline fall_silent(who)
{
#ifdef TIMELY
	ill[who] = 1;
	i = 0;
	do
	:: i < N ->
		if
		:: st[i] == WINDOW && reg[i] == cur[i] && seen_node[i] == who && seen[i] != NO_KEY && seen[i] != DEAD ->
			gap[i] = 1
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
#else
	skip
#endif
}

proctype node(byte me)
{
	do
	/* -- standby -- */
	:: d_step { (at(STANDBY) && quiet(me) && (holder == me || reg[me] != NO_KEY || reason(me))) ->
		if
		:: holder == me -> cur[me] = reg[me]; set_flush(me, flush_after_restart); st[me] = SWAP
#ifndef BREAK_STAY_REGISTERED
		:: holder != me && reg[me] != NO_KEY -> give_back(me)
#endif
		:: else ->
			if
			:: holder != NOBODY -> seen_node[me] = holder; seen[me] = reg[holder]
			:: else
			fi;
			set_flush(me, flush_after_challenge(me));
			st[me] = CHALLENGE
		fi }
#ifdef BREAK_STAY_REGISTERED
	SEND_FRESH((at(STANDBY) && reg[me] == NO_KEY), NO_KEY, STANDBY)
#endif

	/* -- challenger -- */
	SEND_FRESH(at(CHALLENGE), NO_KEY, WINDOW)
	:: d_step { at(WINDOW) ->
		if
		:: reg[me] == NO_KEY -> rest(me) /* turned away */
		:: reg[me] != NO_KEY && found_holding(me) -> /* a late command's work */
			no_gap(me); seen[me] = NO_KEY; seen_node[me] = 0; st[me] = LOOK
		:: reg[me] != NO_KEY && !found_holding(me) && (reg[me] != cur[me] || !same_holder(me)) -> give_back(me)
		:: else
#ifdef LIVE
			-> if
			:: window_full(me) -> no_gap(me); st[me] = TAKE
			:: else
			fi
#endif
		fi;
		tidy() }
#if defined(TIMELY) && !defined(LIVE)
	:: d_step { (at(WINDOW) && window_full(me)) -> no_gap(me); st[me] = TAKE }
	:: d_step { (at(WINDOW) && holder != NOBODY && holder == seen_node[me] && !gap[me]) -> fall_silent(holder) }
#endif
	SEND((at(AT_TAKE) && seen[me] == NO_KEY), RESERVE, cur[me], NO_KEY, 0, AFTER_TAKE)
	SEND((at(AT_TAKE) && seen[me] != NO_KEY), TAKE_BY, cur[me], VICTIM_KEY, VICTIM, AFTER_TAKE)

	/* -- the look that decides -- */
#ifdef LIVE
	:: d_step { (at(LOOK) && settled(me)) ->
#else
	:: d_step { at(LOOK) ->
#endif
		find_other(me, but_cleared(me));
		if
		:: holder == me ->
			if
			:: reg[me] != cur[me] -> cur[me] = reg[me]; st[me] = SWAP
			:: reg[me] == cur[me] && j < N ->
				seen_node[me] = j; seen[me] = reg[j]; st[me] = CLEAR;
#if defined(LIVE) && !defined(BREAK_CLEAR_ALL)
				cleared[me] = cleared[me] | (1 << j)
#endif
			:: reg[me] == cur[me] && j == N && must_flush(me) -> st[me] = FLUSH
#ifdef LIVE
			:: reg[me] == cur[me] && j == N && !must_flush(me) ->
				clear_cleared(me); find_other(me, 0); well_if_alone(me);
				looked[me] = 1; st[me] = UNGATE
#else
			:: else
#endif
			fi
#if POWERCUTS > 0
		:: holder == NOBODY && gate[me] == HELD && may_reassert(me) ->
			set_flush(me, 1);
			if
			:: reg[me] != NO_KEY && reg[me] == cur[me] -> st[me] = RETAKE
			:: else -> cur[me] = reg[me]; st[me] = REASSERT
			fi
#endif
		:: else ->
			close(me, FAILED);
			if
			:: reg[me] == NO_KEY -> rest(me)
			:: else -> give_back(me)
			fi
		fi;
		j = 0;
		tidy() }
#ifndef LIVE
	/* Safety does not rest on clearing other challengers' keys away. */
	:: d_step { (at(LOOK) && holder == me && reg[me] == cur[me] && !must_flush(me) && settled(me)) ->
#ifdef TIMELY
		find_other(me, 0); well_if_alone(me); j = 0;
#endif
		looked[me] = 1; st[me] = UNGATE }
#endif
	SEND(at(CLEAR), TAKE_BY, cur[me], seen[me], seen_node[me], LOOK)
#ifdef RESETS
	:: d_step { at(FLUSH) -> execute(me, RESET, NO_KEY, NO_KEY, 0); flush[me] = 0; st[me] = LOOK }
	:: d_step { (at(FLUSH) && may_lose(me)) -> losses++; make_room(me); late[me] = RESET; st[me] = LOOK }
#endif
	:: d_step { at(UNGATE) ->
		assert(looked[me]); /* S3 */
		looked[me] = 0;
#ifdef DATA
		assert(term[me] == CURRENT || holder != me); /* S3 */
		if
		:: w[me] == WAITS && write_term[me] == term[me] -> w[me] = IDLE; write_term[me] = CURRENT
		:: else
		fi;
#endif
		gate[me] = OPEN; st[me] = OWNER;
		check_admission() }
	SEND_FRESH(at(SWAP), cur[me], LOOK)
	SEND_FRESH(at(REKEY), cur[me], LOOK)
	SEND(at(UNREGISTER), REGISTER, cur[me], NO_KEY, 0, LOOK)

	/* -- owner -- */
	:: d_step { (at(OWNER) && !gives_up(me)) ->
		find_other(me, 0);
		if
#ifdef BREAK_NO_DEFENCE
		:: holder == me && j < N
#else
		:: holder == me && j < N -> seen_node[me] = j; seen[me] = reg[j]; st[me] = DEFEND
#endif
		:: holder == me && j == N -> set_ill(me, 0)
#if POWERCUTS > 0
		:: holder == NOBODY && may_reassert(me) ->
#ifndef BREAK_GATE_REGISTERING
			close(me, HELD);
#endif
			set_flush(me, 1); cur[me] = reg[me]; st[me] = REASSERT
#endif
		:: else ->
#ifndef BREAK_GATE_LATE
			close(me, FAILED);
#endif
			rest(me)
		fi;
		j = 0;
		tidy() }
	SEND(at(DEFEND), PREEMPT, cur[me], seen[me], seen_node[me], OWNER)
#ifndef LIVE
	/* cut off: no look for L */
	:: d_step { at(OWNER) -> close(me, HELD); st[me] = LOOK }
	/* unfit: offers (no challenger needs to know that it is one), and perhaps claims again */
	:: d_step { at(OWNER) -> close(me, FAILED); fall_silent(me); st[me] = STOP }
	:: d_step { (at(STOP) && quiet(me)) -> st[me] = SWAP }
#else
	:: d_step { (at(OWNER) && gives_up(me)) -> close(me, FAILED); set_ill(me, 1); st[me] = OFFER }
	SEND_FRESH(at(OFFER), cur[me], OFFERED)
	:: d_step { at(OFFERED) ->
		if
		:: holder != me -> st[me] = LOOK
		:: holder == me && reg[me] != cur[me] -> cur[me] = reg[me]; st[me] = OFFER
		:: holder == me && reg[me] == cur[me] && !unfit[me] -> st[me] = SWAP
		:: else
#ifdef BREAK_DEFEND_OFFER
			-> find_other(me, 0);
			if
			:: j < N -> seen_node[me] = j; seen[me] = reg[j]; st[me] = DEFEND_OFFER
			:: else
			fi;
			j = 0
#endif
		fi }
#ifdef BREAK_DEFEND_OFFER
	SEND(at(DEFEND_OFFER), PREEMPT, cur[me], seen[me], seen_node[me], OFFERED)
#endif
#endif
#if POWERCUTS > 0
	SEND_FRESH((at(REASSERT) && quiet_to_reassert(me)), cur[me], RETAKE)
	SEND(at(RETAKE), RESERVE, cur[me], NO_KEY, 0, LOOK)
#endif

#if RESTARTS > 0 && !defined(LIVE)
	/* -- restarts -- */
	/* The machine: new sessions; with the old ones its writes and its unanswered registering have ended. */
	:: d_step { (restarts < RESTARTS && (st[me] != STANDBY || gate[me] != FAILED || !quiet(me))) ->
		restarts++;
		end_register(me);
		gate[me] = FAILED; abort_writes(me);
#ifdef DATA
		w[me] = IDLE; write_term[me] = CURRENT;
#endif
		fall_silent(me); rest(me); tidy() }
	/* The daemon alone: the gate stays as it is, and writes go on. */
	:: d_step { (restarts < RESTARTS && st[me] != STANDBY) ->
		restarts++;
		end_register(me);
		st[me] = BOOT; cur[me] = NO_KEY; seen[me] = NO_KEY; seen_node[me] = 0; looked[me] = 0;
		set_flush(me, 0); fall_silent(me); no_gap(me); tidy() }
	:: d_step { at(BOOT) ->
		if
		:: holder == me && gate[me] == OPEN -> cur[me] = reg[me]; st[me] = OWNER
		:: holder == me && gate[me] == HELD -> cur[me] = reg[me]; set_flush(me, flush_after_restart); st[me] = LOOK
		:: else -> close(me, FAILED); rest(me)
		fi }
#endif

#if LOSSES > 0
	/* -- a given-up command executes at last, or never -- */
	LATE_LANDS(me)
#if LATE_EACH > 1
	LATE_LANDS(me + N)
#endif
#endif

#ifdef DATA
	/* -- the data path -- */
	:: d_step { (gate[me] == OPEN && w[me] == IDLE && admits(me)) -> w[me] = ADMITTED; write_term[me] = term[me] }
	:: d_step { (w[me] == WAITS && admits(me)) -> w[me] = ADMITTED }
	:: d_step { w[me] == WAITS -> w[me] = IDLE; write_term[me] = CURRENT }
	:: d_step { w[me] == ADMITTED -> land(me) }
#endif
	od
}

#if POWERCUTS > 0
/* All volatile state of the target is gone. A write of a deposed owner that lands while the LUN is free cannot be
 * prevented by anybody (docs/model.md); what it may not do is land after the next owner's first write. */
active proctype power()
{
	d_step {
		i = 0;
		do
		:: i < N ->
			reg[i] = NO_KEY; abort_writes(i);
			if
			:: term[i] == DEPOSED -> term[i] = SUPERSEDED
			:: else
			fi;
			if
			:: write_term[i] == DEPOSED -> write_term[i] = SUPERSEDED
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0; holder = NOBODY; powercuts++; tidy() }
}
#endif

#ifdef LIVE
#define well(a) (!down[a] && !paused[a] && !unfit[a])
#define spare(a) (well((a + 1) % N) || well((a + 2) % N)) /* somebody is left who can own */
#define FATE(a) \
	:: d_step { (crashes < CRASHES && !down[a] && spare(a)) -> crashes++; \
		down[a] = 1; gate[a] = FAILED; fall_silent(a); rest(a); tidy() } \
	:: d_step { (restarts < RESTARTS && down[a]) -> restarts++; down[a] = 0; end_register(a); tidy() } \
	:: d_step { (pauses < PAUSES && !down[a] && !paused[a] && spare(a)) -> pauses++; paused[a] = 1; fall_silent(a) } \
	:: d_step { paused[a] -> paused[a] = 0 } \
	:: d_step { (unfits < UNFITS && !down[a] && !unfit[a] && spare(a)) -> unfits++; unfit[a] = 1 } \
	:: d_step { unfit[a] -> unfit[a] = 0 }

/* Faults come in any order, and end at any time: a node may stay paused or unfit for ever. */
proctype fate()
{
	do
	FATE(0)
	FATE(1)
	FATE(2)
	:: break
	od
}

#define owns(a) (holder == a && gate[a] == OPEN && well(a))
#define lone(a) (reg[a] == NO_KEY || holder == a)

/* L1: a node that is well owns, again and again. */
ltl l1 { []<> (owns(0) || owns(1) || owns(2)) }
/* L3: in the end nobody but the holder is registered, and that stays so; where standbys probe for ever, each of them is
 * again and again not registered. */
ltl l3 { <>[] (lone(0) && lone(1) && lone(2)) }
ltl l3_probes { ([]<> lone(0)) && ([]<> lone(1)) && ([]<> lone(2)) }
#endif

init
{
	atomic {
		if
		:: true -> reg[0] = 1; cur[0] = 1; holder = 0; st[0] = OWNER; gate[0] = OPEN; set_ill(0, 0)
		:: true /* nobody owns, nobody ever wrote */
		fi;
		run node(0); run node(1); run node(2);
#ifdef LIVE
		run fate()
#endif
	}
}
