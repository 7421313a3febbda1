// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet.hpp
/// Fleet: many supervised connections, which share the number of dials and detect a network
/// failure. FleetStatus: the state of all of them as one consistent value; FleetCounters: its
/// numbers alone. FleetService: a Supervisor that is part of a Fleet.
#pragma once

#include <array>        // std::array
#include <concepts>     // std::convertible_to, std::same_as
#include <cstddef>      // std::size_t
#include <memory>       // std::unique_ptr
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::exchange, std::forward, std::move
#include <vector>       // std::vector

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/core/observer.hpp>
#include <belay/fleet/detail/scheduled_transport.hpp>
#include <belay/fleet/detail/service_calls.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The state of one service of a Fleet.
struct ServiceStatus {
    std::string name{};
    /// The state, its reason (`failure`, `decided_by`), `retry_at`, and the rest.
    LinkStatus link{};
    /// The result of its ServiceOptions::queued; 0 without that function.
    std::size_t queued = 0;
    /// Whether the service is connecting but has not dialled yet, because others are before it.
    bool waiting_to_dial = false;
};

/// The state of all services of a Fleet.
///
/// Thread safety: a plain value.
struct FleetStatus {
    /// The services, sorted by name.
    std::vector<ServiceStatus> services{};
    /// The number of services in each state; see count().
    std::array<std::size_t, detail::link_states> totals{};
    /// The sum of `queued` over all services.
    std::size_t queued = 0;
    /// The number of connections that are being opened, except slow ones; at most
    /// FleetOptions::dials_max.
    std::size_t dialling = 0;
    /// The number of connections that are being opened in the slow group; at most
    /// FleetOptions::slow_dials_max.
    std::size_t dialling_slowly = 0;
    /// Whether all services failed at once, and nothing has ended that suspicion; see
    /// docs/reference/fleet.md.
    bool network_suspect = false;
    /// When the next service dials, as a scout, while the others wait because of that; `never` if
    /// they do not wait.
    Instant retry_at = never;

    /// Returns how many services are in a state.   Complexity: O(1).
    [[nodiscard]] std::size_t count(LinkState state) const noexcept {
        return totals[static_cast<std::size_t>(state)];
    }
};

/// The numbers of a Fleet, for a monitor.
///
/// Thread safety: a plain value.
struct FleetCounters {
    /// The number of services in each state; see count(). A service is counted in a state as soon
    /// as its observer is notified of it.
    std::array<std::size_t, detail::link_states> totals{};
    /// The number of services that wait to dial, in both groups.
    std::size_t waiting_to_dial = 0;
    /// As FleetStatus::dialling.
    std::size_t dialling = 0;
    /// As FleetStatus::dialling_slowly.
    std::size_t dialling_slowly = 0;
    /// The number of failures that are held until the fleet has decided about the network.
    std::size_t held = 0;
    /// The number of waits for a scout since a peer last gave evidence that the network works.
    std::size_t scouts = 0;
    /// Whether the network is suspect; see FleetStatus::network_suspect.
    bool network_suspect = false;

    /// Returns how many services are in a state.   Complexity: O(1).
    [[nodiscard]] std::size_t count(LinkState state) const noexcept {
        return totals[static_cast<std::size_t>(state)];
    }
    friend constexpr bool operator==(const FleetCounters&, const FleetCounters&) noexcept = default;
};

namespace detail {

BELAY_DETAIL_HOOK(OnNetworkSuspect, on_network_suspect);
BELAY_DETAIL_HOOK(OnService, on_service);

/// The hooks of a Fleet F.
template <class F>
struct FleetHooks {
    using Suspect = Hook<OnNetworkSuspect, F, const NetworkSuspect&>;
    using Service = Hook<OnService, F, std::string_view, const Transition&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Suspect::template right<O>,
                      "Fleet: the observer's on_network_suspect must be 'on_network_suspect(const "
                      "belay::NetworkSuspect&)', or have 'auto& fleet' in front of that");
        static_assert(Service::template right<O>,
                      "Fleet: the observer's on_service must be 'on_service(std::string_view name, "
                      "const belay::Transition&)', or have 'auto& fleet' in front of that");
        static_assert(has_any_hook_of<O, Suspect, Service>,
                      "Fleet: the observer has no hook: it needs on_network_suspect or on_service. "
                      "Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

/// A service of a Fleet: a Supervisor with all its commands.
///
/// The fleet makes it. It is valid until it is removed, and if it is removed in one of its own
/// hooks, until that hook returns.
///
/// Its attempts wait in LinkState::connecting for their turn to dial. The limit of an attempt runs
/// from the dial on.
///
/// Thread safety: as Supervisor.
template <class Transport, class Policy, class Observer>
class FleetService
    : private detail::ServiceEntry,
      public Supervisor<detail::ScheduledTransport<Transport>, detail::FleetPolicy<Policy>,
                        detail::ServiceObserver<Observer>> {
    using Entry = detail::ServiceEntry;
    using Base = Supervisor<detail::ScheduledTransport<Transport>, detail::FleetPolicy<Policy>,
                            detail::ServiceObserver<Observer>>;

public:
    /// Makes a service. For the fleet.
    FleetService(const detail::Ref<detail::DialScheduler>& fleet, std::string called,
                 Transport transport, Policy policy, ServiceOptions& options, Observer observer)
        : Entry{detail::ServiceCalls<FleetService>::table, fleet, std::move(called)},
          Base{detail::ScheduledTransport<Transport>{std::move(transport), *this},
               detail::fleet_policy(std::move(policy), *this), options.supervisor,
               detail::ServiceObserver<Observer>{this, std::move(observer)}},
          queued_{options.queued ? std::make_unique<Depth>(std::move(options.queued)) : nullptr} {
        this->priority = options.priority;
    }

    /// Attempts now, as Supervisor::reconnect_now() does. It also does not wait while the network
    /// is suspect; through handle() it does.
    Reconnect reconnect_now(bool force = false) {
        const Reconnect granted = Base::reconnect_now(force);
        detail::let_pass(*this, granted, Base::status());
        return granted;
    }

    [[nodiscard]] std::string_view name() const noexcept { return Entry::name; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(Base::observer().user); }
    /// Makes the connections of the service.
    [[nodiscard]] Transport& transport() noexcept { return Base::transport().inner(); }

private:
    template <class>
    friend struct detail::ServiceCalls;
    using Depth = detail::Function<std::size_t()>;

    [[nodiscard]] std::size_t queued() const { return queued_ ? (*queued_)() : 0; }
    [[nodiscard]] bool in_turn() const noexcept { return detail::LifetimeFlagOf::in_turn(*this); }
    [[nodiscard]] Base& link() noexcept { return *this; }
    [[nodiscard]] const Base& link() const noexcept { return *this; }

    std::unique_ptr<Depth> queued_;  // on the heap, because few services have one
    driver::GroupedMachine<FleetService> self_;
};

/// Keeps any number of connections open, each with its own name, transport and policy.
///
/// Together, the services dial at most FleetOptions::dials_max connections at once, and services
/// with a higher priority dial first. Dials that take long move to a slow group, so that they delay
/// no other service. If all services fail at the same moment, the local network is suspect. Then no
/// policy counts the failure, and the observer is notified. One service at a time
/// dials, as a scout, and the others wait for its result.
///
/// It is a machine: attach it to a driver, which runs it on one thread, its home thread. You may
/// add and remove services at any time, also in all hooks. A hook may destroy the fleet.
///
/// The observer may have these hooks, each of which may leave out the fleet:
/// - `on_network_suspect(auto& fleet, const NetworkSuspect&)`: the network is suspect; also at each
///   later scout.
/// - `on_service(auto& fleet, std::string_view name, const Transition&)`: a service has changed its
///   state. The service's own observer was notified before. If that has removed the service, or has
///   thrown, the fleet's is not notified. The name is valid until the service is destroyed.
///
/// Hooks run on the home thread, and may call every command of the fleet. An exception from a hook
/// leaves the call that ran it.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; other threads use a service's handle().
/// Complexity:    O(log n) for each service that is due, woken, added, removed, or looked up by
///                name.
template <class Observer = NoObserver>
class Fleet {
    using Entry = detail::ServiceEntry;
    using Scheduler = detail::DialScheduler;

    [[nodiscard]] static const FleetOptions& checked(const FleetOptions& options) noexcept {
        detail::expect_options(options.check(), {{"dials_max", options.dials_max},
                                                 {"slow_dials_max", options.slow_dials_max},
                                                 {"suspects_min", options.suspects_min},
                                                 {"suspect_rounds_max", options.suspect_rounds_max},
                                                 {"slow_after", options.slow_after},
                                                 {"dial_gap", options.dial_gap},
                                                 {"head_start", options.head_start},
                                                 {"hold", options.hold},
                                                 {"suspect_wait", options.suspect_wait},
                                                 {"suspect_wait_max", options.suspect_wait_max}});
        return options;
    }

public:
    /// The type of a service with this transport, policy and observer.
    template <class Transport, class Policy, class O = NoObserver>
    using Service = FleetService<Transport, Policy, O>;

    Fleet() : Fleet{FleetOptions{}} {}
    /// Pre: options.check() is empty: all numbers and `slow_after` > 0, durations >= 0, and 1ns <
    ///      `suspect_wait` <= `suspect_wait_max`.
    explicit Fleet(FleetOptions options, Observer observer = {})
        : scheduler_{detail::Ref<Scheduler>::make(checked(options))},
          observer_{std::move(observer)} {
        static_assert(detail::explain_observer<Hooks, Observer>());
        if constexpr (detail::has_hook_of<typename Hooks::Service, Observer>) {
            scheduler_->watch = {this, [](void* fleet, const Entry& entry, const Transition& t) {
                                     static_cast<Fleet*>(fleet)->notify_service(entry, t);
                                 }};
        }
    }
    /// With the usual options.
    template <detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, FleetOptions>)
    explicit Fleet(O&& observer) : Fleet{FleetOptions{}, std::forward<O>(observer)} {}
    Fleet(const Fleet&) = delete;
    Fleet& operator=(const Fleet&) = delete;
    /// Notifies no observer, as the destructor of a Supervisor.
    ~Fleet() {
        scheduler_->waker = nullptr;
        for (Entry* const entry : services_) retire(*entry);
        for (Entry* const entry : services_) entry->ops->end(*entry);
        for (Entry* const entry : leaving_) entry->ops->end(*entry);
    }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        waker_ = std::move(waker);
        bits_ = Random{waker_.seed()};
        group_.attach(waker_.nested(0));
        scheduler_->waker = &waker_;
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (!leaving_.empty()) return always;
        return detail::smaller(group_.deadline(), scheduler_->deadline());
    }
    /// Runs one turn. The services run first, so that all services that ask to dial in this turn
    /// are ranked together.
    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "Fleet::advance: a hook must not call it");
        now_ = detail::larger(now_, now);
        const driver::TurnGuard guard{lifetime_};
        end_leaving();
        if (!group_.advance(now_)) return;
        // In most turns a service has something to do, and the fleet has not.
        if (scheduler_->deadline() > now_) return;
        scheduler_->dial_ended = false;
        if (std::exchange(scheduler_->released, false)) resume_waiting();
        std::optional<NetworkSuspect> suspect;
        if (scheduler_->held.size() != 0) suspect = scheduler_->decide(now_, bits_);
        if (scheduler_->scout_due(now_)) {
            Entry* const scout = scheduler_->groups.fast.queue.empty() ? next_scout() : nullptr;
            suspect = scheduler_->send_scout(scout, now_, bits_);
        }
        scheduler_->let_dial(now_);
        if (suspect) detail::notify<typename Hooks::Suspect>(observer_, *this, *suspect);
    }

    // ---- services ------------------------------------------------------------------------------

    /// Adds a service; its own start(), or that of the fleet, starts it.
    ///
    /// Returns: the service, which is valid until remove().
    /// Pre: no service has this name; see contains().   Throws: std::bad_alloc.
    template <class Transport, class Policy, class O = NoObserver>
    Service<Transport, Policy, O>& add(std::string name, Transport transport, Policy policy,
                                       ServiceOptions options, O observer = {}) {
        static_assert(explain::transport_like<Transport>());
        static_assert(explain::rule_like<Policy>());
        BELAY_PRECONDITION(!contains(name), "Fleet::add: the name of a service must be unique");
        using S = Service<Transport, Policy, O>;
        return enter(group_.template make<S>(scheduler_, std::move(name), std::move(transport),
                                             std::move(policy), options, std::move(observer)));
    }
    /// Adds a service with the usual options, in the same way.
    template <class Transport, class Policy, class O = NoObserver>
        requires(!std::same_as<O, ServiceOptions>)
    Service<Transport, Policy, O>& add(std::string name, Transport transport, Policy policy,
                                       O observer = {}) {
        return add(std::move(name), std::move(transport), std::move(policy), ServiceOptions{},
                   std::move(observer));
    }

    /// Does not compile, because the options come before the observer.
    template <class Transport, class Policy, class O>
        requires(!std::same_as<O, ServiceOptions>)
    Service<Transport, Policy, O>& add(std::string name, Transport transport, Policy policy,
                                       O observer, const ServiceOptions&) {
        static_assert(std::same_as<O, ServiceOptions>,
                      "Fleet::add: pass belay::ServiceOptions before the observer");
        return add(std::move(name), std::move(transport), std::move(policy), std::move(observer));
    }

    /// Adds a Session as a service, by its own parameters and options:
    /// `fleet.add("orders", transport, policy, queue, SessionOptions{.id = id}, observer)`, with
    /// <belay/session/session_service.hpp>.
    ///
    /// Returns: the service, with all functions of a Session. It is valid until remove().
    /// Pre: no service has this name; see contains().   Throws: std::bad_alloc.
    template <class First, class Second, class Third, class Options, class O = NoObserver>
        requires(!std::same_as<Third, ServiceOptions> && !std::same_as<Options, ServiceOptions>)
    // With a deduced type, Clang does not name the caller's line in errors of what this calls.
    typename detail::ServiceKind<Options>::template Made<
        std::remove_cvref_t<First>, std::remove_cvref_t<Second>, Third, O>::Service&
    add(std::string name, First&& first, Second&& second, Third third, Options options,
        O observer = {}) {
        using Kind = detail::ServiceKind<Options>;
        static_assert(Kind::is_known,
                      "Fleet::add: to add a Session, include <belay/session/session_service.hpp> "
                      "and pass belay::SessionOptions after the queue");
        BELAY_PRECONDITION(!contains(name), "Fleet::add: the name of a service must be unique");
        using S = typename Kind::template Made<std::remove_cvref_t<First>,
                                               std::remove_cvref_t<Second>, Third, O>;
        typename S::Service& service = enter(
            group_.template make<S>(detail::NewService{scheduler_, std::move(name)},
                                    std::forward<First>(first), std::forward<Second>(second),
                                    std::move(third), std::move(options), std::move(observer)));
        return service;
    }

    /// Removes a service, whose observer is not notified from then on. Inside one of its own hooks,
    /// or inside a call of its transport, the service stays alive until that has returned.
    /// Otherwise it is destroyed at once.
    /// Returns: whether there was such a service.
    bool remove(std::string_view name) {
        const auto found = services_.find(name);
        if (found == services_.end()) return false;
        Entry& entry = **found;
        const bool busy = entry.ops->in_turn(entry);
        if (busy) leaving_.push_back(&entry);
        services_.erase(found);
        --scheduler_->count(entry.counted);
        retire(entry);
        if (!busy) {
            entry.ops->end(entry);
            return true;
        }
        waker_.touch();
        entry.ops->stop(entry);
        return true;
    }
    /// Returns whether a service has this name.
    [[nodiscard]] bool contains(std::string_view name) const noexcept {
        return services_.find(name) != services_.end();
    }
    /// Returns the number of services.
    [[nodiscard]] std::size_t size() const noexcept { return services_.size(); }

    // ---- commands ------------------------------------------------------------------------------

    /// Starts all services that have been added.
    void start() {
        for (Entry* const entry : services_) entry->ops->start(*entry);
    }
    /// Makes a service attempt now, as Supervisor::reconnect_now() does. It also does not wait
    /// while the network is suspect.
    /// Returns: as Supervisor::reconnect_now(); not granted, with `never`, if there is no such
    /// service.
    Reconnect reconnect_now(std::string_view name, bool force = false) {
        Entry* const entry = find(name);
        return entry != nullptr ? entry->ops->reconnect(*entry, force) : Reconnect{};
    }
    /// Makes all services that are not connected attempt now. Live connections stay.
    void reconnect_all(bool force = false) {
        for (Entry* const entry : services_) {
            if (entry->ops->status(*entry).state == LinkState::connected) continue;
            static_cast<void>(entry->ops->reconnect(*entry, force));
        }
    }
    /// Ends the connection of a service, as Supervisor::report_unhealthy() does.
    /// Returns: whether there is such a service.
    bool report_unhealthy(std::string_view name, const Failure& failure = {}) {
        Entry* const entry = find(name);
        if (entry != nullptr) entry->ops->unhealthy(*entry, failure);
        return entry != nullptr;
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the state of all services.   Complexity: O(n).
    /// Throws: std::bad_alloc; what a `queued` throws.
    [[nodiscard]] FleetStatus status() const {
        FleetStatus all;
        all.services.reserve(services_.size());
        for (const Entry* const entry : services_) {
            all.services.push_back({entry->name, entry->ops->status(*entry),
                                    entry->ops->queued(*entry),
                                    entry->phase == detail::ServicePhase::queued});
            const ServiceStatus& one = all.services.back();
            ++all.totals[static_cast<std::size_t>(one.link.state)];
            all.queued += one.queued;
        }
        all.dialling = scheduler_->groups.fast.dialling.size();
        all.dialling_slowly = scheduler_->groups.slow.dialling.size();
        all.network_suspect = scheduler_->suspect;
        if (scheduler_->suspect && scheduler_->wait_until > now_)
            all.retry_at = scheduler_->wait_until;
        return all;
    }
    /// Returns the numbers that a monitor shows. In a hook they include the change that the hook
    /// reports.   Complexity: O(1), without allocation.
    [[nodiscard]] FleetCounters counters() const noexcept {
        const detail::DialGroups& groups = scheduler_->groups;
        return {.totals = scheduler_->counts,
                .waiting_to_dial = groups.queued,
                .dialling = groups.fast.dialling.size(),
                .dialling_slowly = groups.slow.dialling.size(),
                .held = scheduler_->held.size(),
                .scouts = scheduler_->rounds,
                .network_suspect = scheduler_->suspect};
    }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }

private:
    friend struct detail::LifetimeFlagOf;
    using Hooks = detail::FleetHooks<Fleet>;
    struct ByName {
        using is_transparent = void;
        static std::string_view of(const Entry* s) noexcept { return s->name; }
        static std::string_view of(std::string_view s) noexcept { return s; }
        template <class A, class B>
        bool operator()(const A& a, const B& b) const noexcept {
            return of(a) < of(b);
        }
    };

    template <class S>
    S& enter(driver::GroupedMachine<S> child) {
        using Calls = detail::ServiceCalls<S>;
        S& service = *child;
        services_.insert(&Calls::entry_of(service));
        ++scheduler_->count(LinkState::stopped);
        Calls::keep(std::move(child));
        return service;
    }
    void notify_service(const Entry& entry, const Transition& change) {
        detail::notify<typename Hooks::Service>(observer_, *this, std::string_view{entry.name},
                                                change);
    }
    [[nodiscard]] Entry* find(std::string_view name) const noexcept {
        const auto found = services_.find(name);
        return found != services_.end() ? *found : nullptr;
    }
    /// Returns, of the services that wait for the network, the one whose last attempt began first;
    /// null if there is none. It is preferably one that no server asked to wait and, every other
    /// time, one that was connected. A scout that has not dialled all its endpoints precedes them.
    /// Complexity: O(n).
    [[nodiscard]] Entry* next_scout() const noexcept {
        const bool prefers_connected = scheduler_->prefers_connected();
        Entry* next = nullptr;
        int next_rank = 0;
        for (Entry* const entry : services_) {
            if (!detail::NetworkWait::holds(entry->ops->status(*entry))) continue;
            const bool may_attempt = entry->ops->may_attempt(*entry, now_);
            const int rank = (may_attempt && entry->scouted != 0 ? 4 : 0) + (may_attempt ? 2 : 0) +
                             (prefers_connected && entry->was_connected ? 1 : 0);
            const bool earlier = next != nullptr && entry->asked_at < next->asked_at;
            if (next == nullptr || (rank != next_rank ? rank > next_rank : earlier)) {
                next = entry;
                next_rank = rank;
            }
        }
        return next;
    }
    /// The network is no longer suspect.   Complexity: O(n).
    void resume_waiting() {
        scheduler_->end_old_dials();
        for (Entry* const entry : services_) {
            // That its dials were slow may have been the network's fault.
            scheduler_->forget_slow_dials(*entry);
            scheduler_->forget_outage(*entry, now_);
            entry->scouted = 0;
            if (detail::NetworkWait::holds(entry->ops->status(*entry))) entry->ops->resume(*entry);
        }
    }
    /// Stops notifying the observer of a service.
    static void retire(Entry& entry) noexcept { entry.removed = true; }
    void end_leaving() noexcept {
        while (!leaving_.empty()) {
            Entry& entry = *leaving_.back();
            leaving_.pop_back();
            entry.ops->end(entry);
        }
    }

    detail::Ref<Scheduler> scheduler_;
    [[no_unique_address]] Observer observer_;
    Waker waker_;
    Random bits_;
    driver::LifetimeFlag lifetime_;
    driver::MachineGroup group_;
    std::set<Entry*, ByName> services_;
    std::vector<Entry*> leaving_;  // services removed in their own turns
    Instant now_ = always;
};

template <class Observer>
    requires(!std::convertible_to<Observer, FleetOptions>)
Fleet(Observer) -> Fleet<Observer>;

}}  // namespace belay
