/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A node with two nexuses to one LUN, for Spin: what arbitration.pml, which has one nexus a node, cannot say. The node
 * goes the way of cluster/core/arbiter_lun.c, from standby to owner and back; either nexus may be lost at any time and return
 * later. Its rival does whatever a member of the cluster may do, at any time: so nothing here rests on its manners.
 *
 * As in arbitration.pml a look is taken in one step and acted on in a later one, and a command may be given up, and then
 * executes at any later time or never: also after its nexus was lost, until that logs in again. Windows are full whenever
 * they like.
 *
 *   S4  the node does not give up the registration that holds                                        (execute)
 *   S5  as long as the node holds, each nexus that its open gate lets data through is registered     (OWNER)
 *
 * BREAK_... takes a rule out; each must make S4 or S5 fail.
 */
#ifndef LOSSES
#define LOSSES 2 /* commands given up */
#endif
#ifndef KEYS
#define KEYS 5 /* fresh keys of the node: so many challenges and renewals are looked at */
#endif
#ifndef RIVAL_KEYS
#define RIVAL_KEYS 2
#endif
#ifndef DROPS
#define DROPS 2 /* how often nexuses are lost */
#endif

/* Nexuses 0 and 1 are the node's. */
#define RIVAL 2
#define NOBODY 3
#define NO_KEY 0
#define RIVAL_KEY 8 /* its keys are greater than this one */
#define NONE_UP 2

mtype:command = { NONE, REGISTER, OVERWRITE, RESERVE, PREEMPT };
mtype:state = {
	STANDBY,
	CHALLENGE, /* REGISTER */
	WINDOW,
	TAKE,	   /* RESERVE or PREEMPT */
	DECIDE,	   /* the look that decides */
	SPREAD,	   /* the other nexus */
	OWNER,
	LEAVE
};

/* The target. */
byte reg[2];
byte rival;
byte holder = NOBODY;

/* The node. key: what a nexus bears, or may bear; registered: believed to, with it. */
mtype:state st = STANDBY;
byte cur, victim;
byte key[2];
bit registered[2], up[2];
/* in_doubt: a RESERVE or PREEMPT by this nexus was given up since it logged in. sure: the key that it bears by a
 * REGISTER that was answered, none having been given up under it since. */
bit in_doubt[2];
byte sure[2];
/* unsettled: a REGISTER by this nexus was given up, and its session has not ended since. */
bit unsettled[2];
bit skip_window, seizing, register_unknown;
/* Its last look. looked: it began after the last command had ended. */
bit looked;
byte seen_holder, seen_keys; /* own ones, a bit each */

mtype:command late[2] = NONE;
byte late_nexus[2], late_own[2], late_key[2];

byte keys, rival_keys, losses, drops;
byte i, e;
bit done;

#define holder_key (holder == RIVAL -> rival : (holder == NOBODY -> NO_KEY : reg[holder & 1]))
#define own(k) ((k) != NO_KEY && (k) < RIVAL_KEY)
#define seen(k) ((k) != NO_KEY && (seen_keys & (1 << (k))))
#define bears(n) (up[n] && registered[n] && key[n] == cur)
#define may_lose (losses < LOSSES && (late[0] == NONE || late[1] == NONE))

/* The rules, and what takes them out. */
#define own_holds own(seen_holder)
#ifdef BREAK_KEEP /* unregisters what does not hold itself, although another own key does */
#define kept false
#define keeps(k) ((k) == seen_holder)
#else
#define kept own(seen_holder)
#define keeps(k) kept
#endif
#ifdef BREAK_REKEY
#define must_rekey(n) false
#else
#define must_rekey(n) (in_doubt[n] && sure[n] != key[n])
#endif
#ifdef BREAK_FRESH /* a nexus that has returned is taken for what it was */
#define returns_registered(n) registered[n]
#else
#define returns_registered(n) 0
#endif

/* Every state that the protocol has must occur: tests/model/run. */
c_decl {
	extern void printm(int value, char *kind);
	static unsigned char occurred[64];
	static void __attribute__((destructor)) occurred_print(void)
	{
		printf("occurred:");
		fflush(stdout);
		for (int value = 1; value < 64; value++)
			if (occurred[value]) {
				printf(" ");
				printm(value, "state");
			}
		printf("\n");
	}
}

inline go(next)
{
	st = next;
	c_code { occurred[now.st] = 1; }
}

/* done: it took effect */
inline execute(op, n, with, k)
{
	done = 0;
	if
	:: (op == REGISTER && reg[n] == with) || op == OVERWRITE ->
		if
		:: k == NO_KEY && holder == n -> assert(holder != n); /* S4 */ holder = NOBODY
		:: else
		fi;
		reg[n] = k; done = 1
	:: op == RESERVE && with != NO_KEY && reg[n] == with && holder == NOBODY -> holder = n; done = 1
	:: op == PREEMPT && with != NO_KEY && reg[n] == with && (k == rival || k == reg[0] || k == reg[1]) ->
		if
		:: holder_key == k -> holder = n
		:: else
		fi;
		if
		:: k == rival -> rival = NO_KEY
		:: else
		fi;
		if
		:: n != 1 && reg[1] == k -> reg[1] = NO_KEY
		:: else
		fi;
		if
		:: n != 0 && reg[0] == k -> reg[0] = NO_KEY
		:: else
		fi;
		done = 1
	:: else
	fi
}

/* What is not known any more, and what has no meaning now, makes no difference. */
inline forget_look()
{
	looked = 0; seen_holder = 0; seen_keys = 0
}

inline forget_late(l)
{
	late[l] = NONE; late_nexus[l] = 0; late_own[l] = 0; late_key[l] = 0
}

inline give_up(op, n, with, k)
{
	losses++;
	i = (late[0] == NONE -> 0 : 1);
	late[i] = op; late_nexus[i] = n; late_own[i] = with; late_key[i] = k;
	i = 0
}

inline fresh_key()
{
	keys++; cur = keys
}

/* Registers a fresh key, and takes the LUN from `from` after that, or is it already. */
inline renew(from)
{
	victim = from; fresh_key(); skip_window = 1; seizing = 1; forget_look(); go(CHALLENGE)
}

inline unverify()
{
#ifndef BREAK_VERIFY
	registered[0] = 0; registered[1] = 0
#else
	skip
#endif
}

inline lose()
{
	forget_look(); seizing = 0; skip_window = 0; victim = NO_KEY; go(LEAVE)
}

/* A REGISTER of cur by nexus n in place of `with`. */
inline registered_ok(n, with)
{
	key[n] = cur; sure[n] = (in_doubt[n] -> cur : NO_KEY); registered[n] = 1;
	if
	:: st == CHALLENGE && !skip_window && !seizing -> go(WINDOW)
	:: st == CHALLENGE && (skip_window || seizing) && with != NO_KEY && with == victim -> seizing = 1; go(DECIDE)
	:: st == CHALLENGE && (skip_window || seizing) && (with == NO_KEY || with != victim) -> seizing = 1; go(TAKE)
	:: else
	fi
}

/* What nexus n is expected to bear, in either order; or neither, which conflicts have told: then it is overwritten. */
#define REGISTER_BY(n, when) \
	:: d_step { ((when) && up[n]) -> forget_look(); e = key[n]; execute(REGISTER, n, e, cur); \
		if :: done -> registered_ok(n, e) :: else fi; e = 0; done = 0 } \
	:: d_step { ((when) && up[n] && key[n] != NO_KEY) -> forget_look(); execute(REGISTER, n, NO_KEY, cur); \
		if :: done -> registered_ok(n, NO_KEY) :: else fi; done = 0 } \
	:: d_step { ((when) && up[n] && reg[n] != key[n] && reg[n] != NO_KEY && reg[n] != cur) -> forget_look(); \
		execute(OVERWRITE, n, NO_KEY, cur); registered_ok(n, NO_KEY); done = 0 } \
	:: d_step { ((when) && up[n] && may_lose) -> forget_look(); give_up(REGISTER, n, key[n], cur); \
		key[n] = cur; sure[n] = NO_KEY; registered[n] = 0; register_unknown = 1; unsettled[n] = 1 }

#define TAKE_BY(n) \
	:: d_step { (st == TAKE && bears(n)) -> forget_look(); \
		if \
		:: victim == NO_KEY -> execute(RESERVE, n, cur, NO_KEY) \
		:: else -> execute(PREEMPT, n, cur, victim); \
			if \
			:: done && key[1 - n] == victim -> key[1 - n] = NO_KEY; registered[1 - n] = 0 \
			:: else \
			fi \
		fi; \
		done = 0; go(DECIDE) } \
	:: d_step { (st == TAKE && bears(n) && may_lose) -> forget_look(); \
		if \
		:: victim == NO_KEY -> give_up(RESERVE, n, cur, NO_KEY) \
		:: else -> give_up(PREEMPT, n, cur, victim) \
		fi; \
		in_doubt[n] = 1; sure[n] = NO_KEY; go(DECIDE) }

#define leaves(n) (st == LEAVE && looked && !kept && key[n] != NO_KEY)
#define LEAVE_BY(n) \
	:: d_step { (leaves(n) && !seen(key[n])) -> key[n] = NO_KEY; registered[n] = 0 } \
	:: d_step { (leaves(n) && seen(key[n]) && up[n] && !keeps(key[n]) && must_rekey(n) && keys < KEYS) -> \
		forget_look(); e = key[n]; fresh_key(); execute(REGISTER, n, e, cur); \
		if :: done -> key[n] = cur; sure[n] = cur :: else -> key[n] = NO_KEY fi; e = 0; done = 0 } \
	:: d_step { (leaves(n) && seen(key[n]) && up[n] && !keeps(key[n]) && must_rekey(n) && keys < KEYS && may_lose) -> \
		forget_look(); e = key[n]; fresh_key(); give_up(REGISTER, n, e, cur); key[n] = cur; sure[n] = NO_KEY; e = 0 } \
	:: d_step { (leaves(n) && seen(key[n]) && up[n] && !keeps(key[n]) && !must_rekey(n)) -> forget_look(); \
		execute(REGISTER, n, key[n], NO_KEY); key[n] = NO_KEY; registered[n] = 0; done = 0 } \
	:: d_step { (leaves(n) && seen(key[n]) && up[n] && !keeps(key[n]) && !must_rekey(n) && may_lose) -> forget_look(); \
		give_up(REGISTER, n, key[n], NO_KEY) }
#define left(n) (kept || key[n] == NO_KEY || (seen(key[n]) && (!up[n] || keeps(key[n]))))

active proctype node()
{
	do
	/* -- a look -- */
	:: d_step { up[0] || up[1] ->
		seen_holder = holder_key; looked = 1;
		seen_keys = (1 << reg[0]) | (1 << reg[1]) }

	/* -- standby: removes its strays, swaps an own key that holds, or challenges -- */
	:: d_step { st == STANDBY && looked && keys < KEYS ->
		victim = seen_holder; skip_window = own(seen_holder); seizing = 0; fresh_key(); forget_look(); go(CHALLENGE) }
	:: d_step { st == STANDBY && looked && reg[0] != NO_KEY && seen(reg[0]) && !keeps(reg[0]) ->
		e = reg[0];
		key[0] = (up[0] -> e : key[0]); key[1] = (up[1] -> e : key[1]);
		e = 0; forget_look(); go(LEAVE) }
	:: d_step { st == STANDBY && looked && reg[1] != NO_KEY && seen(reg[1]) && !keeps(reg[1]) ->
		e = reg[1];
		key[0] = (up[0] -> e : key[0]); key[1] = (up[1] -> e : key[1]);
		e = 0; forget_look(); go(LEAVE) }

	/* -- challenger -- */
	REGISTER_BY(0, st == CHALLENGE)
	REGISTER_BY(1, st == CHALLENGE)
	:: d_step { st == CHALLENGE && looked && skip_window && !seizing && seen_holder != victim && seen_holder != cur -> lose() }
	:: d_step { st == CHALLENGE && !seizing -> lose() } /* the REGISTER is refused too often */
	:: d_step { st == WINDOW && looked ->
		if
		:: !seen(cur) -> /* turned away */
			key[0] = NO_KEY; key[1] = NO_KEY; registered[0] = 0; registered[1] = 0; forget_look(); go(STANDBY)
		:: seen(cur) && own_holds && seen_holder == cur -> seizing = 1; forget_look(); go(DECIDE)
		:: seen(cur) && own_holds && seen_holder != cur -> victim = seen_holder; seizing = 1; go(TAKE)
		:: seen(cur) && !own_holds && seen_holder != victim -> lose()
		:: seen(cur) && !own_holds && seen_holder == victim -> seizing = 1; go(TAKE)
		fi }
	TAKE_BY(0)
	TAKE_BY(1)
	:: d_step { st == TAKE && !bears(0) && !bears(1) -> lose() }
	:: d_step { st == TAKE && looked && seen_holder != victim && seen_holder != cur ->
		if
		:: own_holds -> victim = seen_holder
		:: else -> lose()
		fi }
	:: d_step { st == DECIDE && looked && seen_holder == cur ->
		if
		:: register_unknown -> unverify() /* which of them bears the key, is not known */
		:: else
		fi;
		register_unknown = 0;
		go(SPREAD) }
	:: d_step { st == DECIDE && looked && seen_holder != cur && seen_holder == victim && seen(cur) -> go(TAKE) }
	:: d_step { st == DECIDE && looked && seen_holder != cur ->
		if
		:: ((must_rekey(0) && key[0] == cur) || (must_rekey(1) && key[1] == cur)) && keys < KEYS -> renew(cur) /* under another key it cannot take effect */
		:: else -> lose()
		fi }

	/* -- owner -- */
	REGISTER_BY(0, st == SPREAD && !bears(0))
	REGISTER_BY(1, st == SPREAD && !bears(1))
	:: d_step { st == SPREAD && looked && seen_holder == cur && (unsettled[0] || unsettled[1]) ->
		/* LOGICAL UNIT RESET: a REGISTER that was given up cannot take effect any more */
		if
		:: late[0] == REGISTER || late[0] == OVERWRITE -> forget_late(0)
		:: else
		fi;
		if
		:: late[1] == REGISTER || late[1] == OVERWRITE -> forget_late(1)
		:: else
		fi;
		unsettled[0] = 0; unsettled[1] = 0; forget_look() }
	/* Data uses the nexuses that are known to be registered, and there is one; else the key is a lost one's. */
	:: d_step { st == SPREAD && looked && seen_holder == cur && !unsettled[0] && !unsettled[1] && (bears(0) || bears(1)) -> go(OWNER) }
	:: d_step { st == SPREAD && looked && seen_holder == cur && !bears(0) && !bears(1) && keys < KEYS -> renew(cur) }
	:: d_step { st == OWNER && bears(0) -> assert(holder_key != cur || reg[0] == cur) /* S5 */ }
	:: d_step { st == OWNER && bears(1) -> assert(holder_key != cur || reg[1] == cur) /* S5 */ }
	:: d_step { st == OWNER && ((up[0] && !bears(0)) || (up[1] && !bears(1))) -> forget_look(); go(SPREAD) }
	:: d_step { (st == OWNER || st == SPREAD) && looked && seen_holder != cur ->
		if
		:: (seen_holder == NO_KEY || own(seen_holder)) && keys < KEYS -> renew(seen_holder)
		:: else -> cur = NO_KEY; lose()
		fi }

	/* -- leaving: nothing that a look did not show not to hold -- */
	LEAVE_BY(0)
	LEAVE_BY(1)
	:: d_step { st == LEAVE && looked && left(0) && left(1) -> cur = NO_KEY; forget_look(); go(STANDBY) }

	/* -- its nexuses: lost, with what is on its way by them left to its fate; and back, with a new session -- */
	:: d_step { up[0] && drops < DROPS -> drops++; up[0] = 0; unsettled[0] = 0 }
	:: d_step { up[1] && drops < DROPS -> drops++; up[1] = 0; unsettled[1] = 0 }
	:: atomic { !up[0] ->
		if
		:: true
		:: holder != 0 -> reg[0] = NO_KEY /* another nexus, or a target that forgets */
		fi;
		up[0] = 1; registered[0] = returns_registered(0); in_doubt[0] = 0; sure[0] = NO_KEY; forget_look();
		if
		:: late[0] != NONE && late_nexus[0] == 0 -> forget_late(0)
		:: else
		fi;
		if
		:: late[1] != NONE && late_nexus[1] == 0 -> forget_late(1)
		:: else
		fi }
	:: atomic { !up[1] ->
		if
		:: true
		:: holder != 1 -> reg[1] = NO_KEY
		fi;
		up[1] = 1; registered[1] = returns_registered(1); in_doubt[1] = 0; sure[1] = NO_KEY; forget_look();
		if
		:: late[0] != NONE && late_nexus[0] == 1 -> forget_late(0)
		:: else
		fi;
		if
		:: late[1] != NONE && late_nexus[1] == 1 -> forget_late(1)
		:: else
		fi }
	od
}

/* -- a given-up command executes at last, or never -- */
active proctype fabric()
{
	do
	:: d_step { late[0] != NONE -> execute(late[0], late_nexus[0], late_own[0], late_key[0]); done = 0; forget_late(0) }
	:: d_step { late[1] != NONE -> execute(late[1], late_nexus[1], late_own[1], late_key[1]); done = 0; forget_late(1) }
	:: d_step { late[0] != NONE -> forget_late(0) }
	:: d_step { late[1] != NONE -> forget_late(1) }
	od
}

/* -- the rival: registers, reserves, takes over or turns away, leaves; but does not leave what it holds -- */
active proctype other()
{
	do
	:: d_step { rival == NO_KEY && rival_keys < RIVAL_KEYS -> rival_keys++; rival = RIVAL_KEY + rival_keys }
	:: d_step { rival != NO_KEY && holder == NOBODY -> holder = RIVAL }
	:: d_step { rival != NO_KEY && reg[0] != NO_KEY -> e = reg[0];
		if
		:: holder_key == e -> holder = RIVAL
		:: else
		fi;
		reg[0] = NO_KEY; reg[1] = (reg[1] == e -> NO_KEY : reg[1]); e = 0 }
	:: d_step { rival != NO_KEY && reg[1] != NO_KEY -> e = reg[1];
		if
		:: holder_key == e -> holder = RIVAL
		:: else
		fi;
		reg[1] = NO_KEY; reg[0] = (reg[0] == e -> NO_KEY : reg[0]); e = 0 }
	:: d_step { rival != NO_KEY && holder != RIVAL -> rival = NO_KEY }
	od
}
