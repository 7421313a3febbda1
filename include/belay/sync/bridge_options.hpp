// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_options.hpp
/// BridgeOptions, BridgePushOptions, BridgePullOptions: how often a bridge calls its remote, and
/// how long it waits.
/// The values that the hooks of a bridge's observer report.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t
#include <string_view>  // std::string_view

#include <belay/backoff/backoff.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/observer.hpp>
#include <belay/link/status.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Options for pushing local changes.
struct BridgePushOptions {
    /// The time from the first change that is not pushed yet to its push; >= 0ns. The push includes
    /// later changes, and they do not postpone it.
    Duration debounce = std::chrono::milliseconds{500};
    /// Whether local changes are pushed at all.
    bool enabled = true;
};

/// Options for pulling remote changes.
struct BridgePullOptions {
    /// The time from one pull of all sessions to the next; > 0ns. The first pull is at a random
    /// moment of the first interval.
    Duration interval = std::chrono::seconds{30};
    /// Whether remote changes are pulled at all.
    bool enabled = true;
};

/// Options for the calls of a bridge to its remote.
struct BridgeOptions {
    /// How often the remote is asked for changes.
    BridgePullOptions pull{};
    /// How long a local change waits for later ones before it is pushed.
    BridgePushOptions push{};
    /// The wait after a call that the policy has given up. The whole bridge waits if its remote is
    /// away; one session waits if the failure concerns only that session.
    Backoff<FullJitter, Cap> outage_wait{FullJitter{}, Cap{std::chrono::seconds{60}},
                                         std::chrono::seconds{1}};
    /// The longest time that one attempt may take, unless an AttemptTimeout of the policy is
    /// shorter; > 0ns. It is also the longest wait between two attempts of a call that does not
    /// count as an outage.
    Duration answer_within = std::chrono::seconds{10};
    /// The longest wait that a remote may ask for by a failure's `retry_after`; >= 0ns. A longer
    /// wait counts as this, so one answer of a proxy cannot stop the bridge for a day.
    Duration retry_after_max = std::chrono::minutes{5};
    /// The most calls that are under way at once; > 0.
    std::size_t calls_max = 8;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (!pull.enabled && !push.enabled) {
            return "BridgeOptions: push or pull must be enabled";
        }
        if (pull.interval.count() <= 0) return "BridgeOptions: pull.interval must be > 0ns";
        if (push.debounce.count() < 0) return "BridgeOptions: push.debounce must be >= 0ns";
        if (answer_within.count() <= 0) return "BridgeOptions: answer_within must be > 0ns";
        if (retry_after_max.count() < 0) return "BridgeOptions: retry_after_max must be >= 0ns";
        if (calls_max < 1) return "BridgeOptions: calls_max must be > 0";
        return {};
    }
};

/// A conflict, in which one of two changes of a session is lost; passed to `on_conflict`.
///
/// Both sides have changed the session. The bridge keeps the later stamp, unless the conflict is
/// open. The lost change is
/// only in this report. An observer that can merge edits the local scene and calls `changed`.
template <class Content>
struct BridgeConflict {
    /// The name of the session; valid during the call.
    std::string_view session;
    /// The local scene, which the remote never had.
    const Scene<Content>& local;
    /// The remote scene, which the local side never had.
    const Scene<Content>& remote;
    /// The side whose change is kept: Origin::remote was applied here, Origin::local is pushed.
    Origin kept{};
    /// Whether neither scene is overwritten, because the local one was changed before a restart and
    /// the remote one is later. Both sides keep their scenes until the local side edits its scene,
    /// with a stamp later than both, and reports that by `changed`. The bridge reports it once in
    /// each run of the program, and again if the remote scene changes. `kept` is Origin::local.
    bool open = false;
};

/// An error that does not stop the other sessions; passed to `on_error`.
struct BridgeError {
    /// The step that failed.
    enum class Step : std::uint8_t {
        list,   ///< the local side could not list its sessions
        read,   ///< the local side could not read the scene
        apply,  ///< the local side did not accept a remote scene
        fetch,  ///< the remote did not return the scene
        push,   ///< the remote did not accept the scene
        close,  ///< the remote did not confirm the end of the bridge
        /// The local side could not read or store the base of the session. With Cause::none, it has
        /// no base, and the bridge has compared the stamps of two different scenes; reported once.
        base,
        /// The remote confirmed the push of a scene and returned the scene before it, three times
        /// or more. The bridge pushes again after a wait.
        undone
    };
    /// The session that failed; empty if the error does not concern a single one.
    std::string_view session;
    /// The part of its work at which the bridge failed.
    Step step{};
    /// The failure of that step; with Cause::none, nothing has failed, and this is a warning.
    Failure failure{};
};

/// Returns the name of a step, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(BridgeError::Step step) noexcept {
    constexpr std::string_view names[] = {"list", "read",  "apply", "fetch",
                                          "push", "close", "base",  "undone"};
    return detail::name_of(step, names);
}

namespace detail {

BELAY_DETAIL_HOOK(OnError, on_error);

/// The hooks that a bridge B calls.
template <class B, class Content>
struct BridgeHooks {
    using State = Hook<OnState, B, const Connectivity&>;
    using Pushed = Hook<OnPushed, B, std::string_view, const Stamp&>;
    using OfConflict = Hook<OnConflict, B, const BridgeConflict<Content>&>;
    using Error = Hook<OnError, B, const BridgeError&>;
    using Retry = RetryRunHooks;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Bridge: the observer's on_state must be 'on_state(const "
                      "belay::Connectivity&)', or have 'auto& bridge' in front of that");
        static_assert(Pushed::template right<O>,
                      "Bridge: the observer's on_pushed must be 'on_pushed(std::string_view "
                      "session, const belay::Stamp&)', or have 'auto& bridge' in front of that");
        static_assert(OfConflict::template right<O>,
                      "Bridge: the observer's on_conflict must be 'on_conflict(const "
                      "belay::BridgeConflict<Content>&)', or have 'auto& bridge' in front of that");
        static_assert(Error::template right<O>,
                      "Bridge: the observer's on_error must be 'on_error(const "
                      "belay::BridgeError&)', or have 'auto& bridge' in front of that");
        static_assert(Retry::Begun::template right<O> && Retry::Planned::template right<O> &&
                          Retry::Rejection::template right<O> &&
                          Retry::Success::template right<O> && Retry::GaveUp::template right<O>,
                      "Bridge: the observer's on_attempt, on_retry, on_rejection, on_success and "
                      "on_give_up must have the signatures of an observer of retry");
        static_assert(
            has_any_hook_of<O, State, Pushed, OfConflict, Error, Retry::Begun, Retry::Planned,
                            Retry::Rejection, Retry::Success, Retry::GaveUp>,
            "Bridge: the observer has no hook: it needs one of on_state, on_pushed, "
            "on_conflict, on_error, or a hook of retry. Derive an observer without hooks "
            "from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

}}  // namespace belay
