// SPDX-License-Identifier: MIT
/// \file belay/core/detail/member_names.hpp
/// has_<name>: whether a class has a member of that name in any form (private, overloaded,
/// template). core/observer.hpp detects the hooks of observers itself.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::bool_constant, std::conditional_t, std::is_class_v

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// The names of all optional hooks of users' classes.
// - Policies and calls: observers, rules, the targets of Shared, jitters, growths, caps, trips,
//   open waits.
// - Links and rooms: framings, documents, room storage, room protocols.
// - Data: stores, operations, remotes, file systems.
//
// belay would never call a hook of the wrong form, so it must detect every form to report the
// mistake.
struct MemberNames {
    int on_state, on_message, on_writable, on_unsent, on_undeliverable, on_accepted,
        on_acknowledged, on_blocked, on_journal_replaced, on_stalled, on_attached, on_committed,
        on_rejected, on_ledger_failed, on_sender_failed, on_pushed, on_dropped, on_popped,
        on_drained, on_released, on_dead, on_breaker, on_attempt, on_retry, on_rejection, on_hedge,
        on_injected, on_success, on_give_up, on_round_trip, on_policy_conflict, on_network_suspect,
        on_operation, on_conflict, on_progress, on_idle, on_error, on_divergence, on_room_failed,
        on_room_event, on_stateless, on_stopped, on_sent, on_unmatched, look_at_waiters;
    int wanted, admit, begin, failed, succeeded, abandoned, lost, review, reset, stable_window,
        stable_by_age, attempt_limit, stops_after, rejects_until, name, listens, is_shared, reserve,
        spread, gains_by_time, spend;
    int delay, check, grows, least, before_jitter;
    int too_slow, counts, tripped_by;
    int put_ping, put_header;
    int put_id, id_of, is_answer;
    int transaction, prefetch, changes_since, replaced, base, saw, formerly;
    int stored_base, store_base, remove_scene;
    int state_vector, diff;
    int close, attach, deadline, advance;
    int rooms_to_save;
    int publish, subscribe;
    int split, disjoint, address, room_id;
    int on_service, on_leases;
    int yield, now;
};

/// A name that T also declares, in any form, is ambiguous here. `&MemberProbe<T>::failed` is then
/// an error. Never instantiated as an object.
template <class T>
struct MemberProbe : T, MemberNames {};

template <class T>
concept Probed = std::is_class_v<T> && !std::is_final_v<T>;

template <class T>
using ProbeOf = std::conditional_t<Probed<T>, MemberProbe<std::remove_cv_t<T>>, T>;

// A class of belay names in ConditionalHooks those of its hooks that exist on a condition: without
// it, they would be hooks in another form. They are found only by calls.
// Defines has_name<T>. Use it in the header that needs it. For a final class, or a type that is not
// a class, it finds only a public member that is neither overloaded nor a template. Without the
// name in MemberNames, each class would seem to have it.
#define BELAY_DETAIL_MEMBER(name)                                                     \
    template <class T>                                                                \
    inline constexpr bool has_##name = sizeof(&MemberNames::name) != 0 && !requires { \
        &T::ConditionalHooks::name;                                                   \
    } && Probed<T> != requires { &ProbeOf<T>::name; }
// The contract of an optional member of R; it defines has_name, too. HasName: R has it in any form.
// NameIsSound: R has none, or this expression is noexcept and has the type Result.
#define BELAY_DETAIL_OPTIONAL(Name, name, parameters, Result, ...) \
    BELAY_DETAIL_MEMBER(name);                                     \
    template <class R>                                             \
    concept Has##Name = has_##name<R> ||                           \
                            requires parameters                    \
    {                                                              \
        __VA_ARGS__;                                               \
    };                                                             \
    template <class R>                                             \
    concept Name##IsSound = !Has##Name<R> ||                       \
                                requires parameters                \
    {                                                              \
        { __VA_ARGS__ } noexcept -> std::same_as<Result>;          \
    }
// The contract of an optional constant of R. NameIsFlag: R has none, or it is one.
#define BELAY_DETAIL_FLAG(Name, name)                         \
    BELAY_DETAIL_MEMBER(name);                                \
    template <class R>                                        \
    concept Name##IsFlag = !has_##name<R> || requires {       \
        typename std::bool_constant<R::name>;                 \
        requires std::same_as<decltype(R::name), const bool>; \
    }
// The contract of a member that R must have. HasName: R has it. NameGivesResult: this expression
// has the type Result. NameIsNoexcept: it is noexcept.
#define BELAY_DETAIL_REQUIRED(Name, parameters, Result, ...) \
    template <class R>                                       \
    concept Has##Name =                                      \
        requires parameters                                  \
    {                                                        \
        __VA_ARGS__;                                         \
    };                                                       \
    template <class R>                                       \
    concept Name##GivesResult =                              \
        requires parameters                                  \
    {                                                        \
        { __VA_ARGS__ } -> std::same_as<Result>;             \
    };                                                       \
    template <class R>                                       \
    concept Name##IsNoexcept =                               \
        requires parameters                                  \
    {                                                        \
        { __VA_ARGS__ } noexcept;                            \
    }
// Rules, jitters and open waits have it.
BELAY_DETAIL_OPTIONAL(Reset, reset, (R & r), void, r.reset());

}}}  // namespace belay::detail
