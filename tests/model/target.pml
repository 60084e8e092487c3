/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Part of arbitration.pml: the target (PR commands, LOGICAL UNIT RESET, writes that land), fresh keys, and the folding of
 * states that differ in nothing that matters.
 */

#define admits(a) (holder == NOBODY || reg[a] != NO_KEY)

inline check_admission()
{
	if
	:: holder != NOBODY ->
		i = 0; used = 0;
		do
		:: i < N -> used = used + (gate[i] == OPEN && reg[i] != NO_KEY); i++
		:: else -> break
		od;
		assert(used <= 1); /* S2 */
		i = 0; used = 0
	:: else
	fi
}

/* The reservation goes to `to`. */
inline take_over(to)
{
#ifdef DATA
	i = 0;
	do
	:: i < N ->
		if
		:: i != to && term[i] == CURRENT && (gate[i] != FAILED || st[i] == UNGATE) -> term[i] = SUPERSEDED
		:: else
		fi;
		if
		:: i != to && w[i] != IDLE && write_term[i] == CURRENT -> write_term[i] = SUPERSEDED
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	if
	:: gate[to] == FAILED -> term[to] = CURRENT /* a service that starts; one that waits behind a held gate goes on */
	:: else
	fi;
#endif
	holder = to;
#ifdef TIMELY
	ill[to] = silent_now(to);
#endif
}

inline abort_writes(a)
{
#ifdef DATA
	if
	:: w[a] == ADMITTED -> w[a] = IDLE; write_term[a] = CURRENT
	:: else
	fi
#else
	skip
#endif
}

inline execute(me, op, own, key, victim)
{
	if
	:: op == REGISTER && expected(me, own) ->
		if
		:: key == NO_KEY && holder == me ->
#if POWERCUTS == 0 && !defined(BREAK_UNREGISTER)
			assert(holder != me); /* S4 */
#endif
			holder = NOBODY
		:: else
		fi;
		reg[me] = key
	:: op == RESERVE && own != NO_KEY && reg[me] == own && holder == NOBODY -> take_over(me)
	:: (op == PREEMPT || op == PREEMPT_ABORT) && own != NO_KEY && reg[me] == own && reg[victim] == key ->
#ifdef TIMELY
		assert(holder != victim || ill[victim] || is_offer(victim)); /* L2 */
#endif
		reg[victim] = NO_KEY;
		if
		:: holder == victim -> take_over(me)
		:: else
		fi;
		if
		:: op == PREEMPT_ABORT -> abort_writes(victim)
		:: else
		fi
	:: op == RESET -> abort_writes(0); abort_writes(1); abort_writes(2)
	:: else
	fi;
	check_admission()
}

/* ---- what is remembered, and what can have no effect any more ---- */

inline forget_late(a)
{
	late[a] = NONE; late_own[a] = 0; late_key[a] = 0; late_node[a] = 0
}

/* Room in late[a] for one more; or, when that has become free, the older one's place. */
inline move_late(from, to)
{
	late[to] = late[from]; late_own[to] = late_own[from];
	late_key[to] = late_key[from]; late_node[to] = late_node[from];
	forget_late(from)
}

inline make_room(a)
{
#if LATE_EACH > 1
	if
	:: late[a] != NONE -> move_late(a, a + N)
	:: else
	fi
#else
	skip
#endif
}

/* Spin does not tell what within a d_step was never reached; so the verifier notes which node states and which late
 * commands occur, and prints them at its end. */
c_decl {
	extern void printm(int value, char *kind);
	static unsigned char occurred[2][64];
	static void __attribute__((destructor)) occurred_print(void)
	{
		printf("occurred:");
		fflush(stdout);
		for (int kind = 0; kind < 2; kind++)
			for (int value = 1; value < 64; value++)
				if (occurred[kind][value]) {
					printf(" ");
					printm(value, kind == 0 ? "state" : "command");
				}
		printf("\n");
	}
}

/* Fold states that differ in nothing that matters. Sound as long as keys are fresh. */
inline tidy()
{
	c_code { for (int a = 0; a < 3; a++) occurred[0][now.st[a]] = occurred[1][now.late[a]] = 1; };
	i = 0;
#ifndef KEYS_RETURN
	do
	:: i < LATE ->
		if
		:: late[i] != NONE && late[i] != RESET && late_own[i] != NO_KEY && !may_be_borne(i % N, late_own[i]) ->
			forget_late(i)
		:: is_preempt(late[i]) && !may_be_borne(late_node[i], late_key[i]) -> forget_late(i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
#endif
#if LATE_EACH > 1
	do
	:: i < N ->
		if
		:: late[i] == NONE && late[i + N] != NONE -> move_late(i + N, i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
#endif
	do
	:: i < N ->
		if
		:: seen[i] != NO_KEY && seen[i] != DEAD && !may_be_borne(seen_node[i], seen[i]) ->
			seen[i] = DEAD; seen_node[i] = 0
		:: else
		fi;
		if
		:: cur[i] != NO_KEY && cur[i] != DEAD && !may_be_borne(i, cur[i]) -> cur[i] = DEAD
		:: else
		fi;
#ifdef LIVE
		if
		:: offer[i] != NO_KEY && !may_be_borne(i, offer[i]) -> offer[i] = NO_KEY
		:: else
		fi;
#endif
		i++
	:: else -> break
	od;
	i = 0
}

/* k: a fresh key */
inline fresh(me)
{
	used = 1 | (1 << reg[me]) | (1 << cur[me]);
	i = 0;
	do
	:: i < LATE ->
		if
		:: i % N == me -> used = used | (1 << late_own[i]) | ((late[i] == REGISTER) << late_key[i])
		:: i % N != me -> used = used | ((seen_node[i % N] == me) << seen[i % N]) |
			((is_preempt(late[i]) && late_node[i] == me) << late_key[i])
		fi;
		i++
	:: else -> break
	od;
	k = 1;
	do
	:: used & (1 << k) -> k++
	:: else -> break
	od;
	assert(k <= KEYS); /* the model's own bound */
#if defined(BREAK_REUSE_KEY)
	k = 1;
#elif defined(BREAK_RESTART_KEY)
	if
	:: restarts > 0 -> k = 1
	:: else
	fi;
#endif
	used = 0; i = 0
}

/* A new life's sessions end the commands of the last one. The model lets all but the one survive that no rule could
 * answer, a REGISTER of a nexus that is not registered. */
inline end_register(a)
{
	if
	:: registers_anew(a) -> forget_late(a)
	:: else
	fi
#if LATE_EACH > 1
	;
	if
	:: registers_anew(a + N) -> forget_late(a + N)
	:: else
	fi
#endif
}

#ifdef DATA
/* A write lands on the medium. */
inline land(me)
{
	assert(write_term[me] != DEPOSED); /* S1 */
	if
	:: write_term[me] == CURRENT && holder != NOBODY ->
		i = 0;
		do
		:: i < N ->
			if
			:: i != me && term[i] == SUPERSEDED -> term[i] = DEPOSED
			:: else
			fi;
			if
			:: i != me && write_term[i] == SUPERSEDED -> write_term[i] = DEPOSED
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	:: else
	fi;
	w[me] = IDLE; write_term[me] = CURRENT
}
#endif
