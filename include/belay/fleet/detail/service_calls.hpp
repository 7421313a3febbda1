// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/service_calls.hpp
/// ServiceCalls, ServiceKind: how a fleet calls a service, and what it makes for the options of
/// another component.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/service_entry.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The name of a new service, and its fleet.
struct NewService {
    Ref<DialScheduler> scheduler;
    std::string name;
};

/// After a manual reconnect: the next dial does not wait for the network.
inline void let_pass(ServiceEntry& entry, const Reconnect& granted,
                     const LinkStatus& status) noexcept {
    // A live connection is opened anew now or not at all.
    const bool waits = granted.until != never && status.state != LinkState::connected;
    if (granted.granted || waits) entry.passes = true;
}

/// The calls of a fleet to a service S, of which this is a friend, or whose members are public. S
/// derives from ServiceEntry, and has
/// start(), stop(), reconnect_now(), queued(), in_turn(), link(), which returns the supervisor of
/// its connection, and self_.
template <class S>
struct ServiceCalls {
    static S& of(ServiceEntry& entry) noexcept { return static_cast<S&>(entry); }
    static const S& of(const ServiceEntry& entry) noexcept { return static_cast<const S&>(entry); }
    /// Lets a service own itself, until `end`.
    static void keep(driver::GroupedMachine<S> child) noexcept {
        S& service = *child;
        service.self_ = std::move(child);
    }
    static ServiceEntry& entry_of(S& service) noexcept { return service; }
    static constexpr ServiceOps make_table() noexcept {
        using Entry = ServiceEntry;
        return {
            .status = [](const Entry& s) noexcept -> const LinkStatus& {
                return of(s).link().status();
            },
            .queued = [](const Entry& s) { return static_cast<std::size_t>(of(s).queued()); },
            .in_turn = [](const Entry& s) noexcept { return of(s).in_turn(); },
            .start = [](Entry& s) { of(s).start(); },
            .stop = [](Entry& s) { of(s).stop(); },
            .reconnect = [](Entry& s, bool force) { return of(s).reconnect_now(force); },
            .may_attempt =
                [](const Entry& s, Instant now) noexcept {
                    return of(s).link().core().manual_attempt_at(now, false) <= now;
                },
            .resume = [](Entry& s) { of(s).link().reconnect_now(); },
            .unhealthy = [](Entry& s, const Failure& why) { of(s).link().report_unhealthy(why); },
            .dial =
                [](Entry& s) {
                    if (auto* const c = of(s).link().transport().live()) c->dial();
                },
            .close =
                [](Entry& s, const Failure& why, bool withdrawn) {
                    if (auto* const c = of(s).link().transport().live()) c->end(why, withdrawn);
                },
            .end =
                [](Entry& s) noexcept {
                    // The service is first moved out of itself, and then destroyed.
                    auto self = std::move(of(s).self_);
                    self.reset();
                }};
    }
    static const ServiceOps table;
};

template <class S>
constinit const ServiceOps ServiceCalls<S>::table = ServiceCalls<S>::make_table();

/// The service that Fleet::add makes for such options. The component of the options specialises it,
/// with `template <class First, class Second, class Third, class Observer> using Made`. That type
/// is or derives from its member type `Service`, which the user gets.
template <class Options>
struct ServiceKind {
    static constexpr bool is_known = false;
    struct Unknown {
        using Service = Unknown;
    };
    template <class First, class Second, class Policy, class Observer>
    using Made = Unknown;
};

}}}  // namespace belay::detail
