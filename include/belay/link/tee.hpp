// SPDX-License-Identifier: MIT
/// \file belay/link/tee.hpp
/// Tee: an observer that passes everything on to several.
#pragma once

#include <tuple>    // std::tuple, std::apply
#include <utility>  // std::move

#include <belay/core/machine_like.hpp>
#include <belay/link/observer.hpp>

namespace belay::inline BELAY_ABI {

/// Feeds several observers, in order: `Tee{LinkLog{sink}, std::ref(app)}`.
///
/// Messages are copied for all but the last.
/// Thread safety: as its observers; their hooks run on the machine's home thread.
template <class... Os>
class Tee {
public:
    explicit Tee(Os... observers) : observers_{std::move(observers)...} {}

    void on_state(auto& machine, const Transition& change) {
        each([&](auto& o) { detail::notify<detail::OnState>(o, machine, change); });
    }
    template <class S, class M>
    void on_message(S& machine, M message, Lane lane) {
        std::size_t left = sizeof...(Os);
        each([&](auto& o) {
            if (--left == 0) {
                detail::notify_message(o, machine, std::move(message), lane);
            } else {
                detail::notify_message(o, machine, M(message), lane);
            }
        });
    }
    void on_writable(auto& machine, Lane lane) {
        each([&](auto& o) { detail::notify<detail::OnWritable>(o, machine, Lane{lane}); });
    }
    template <class S, class M>
    void on_unsent(S& machine, M message, Lane lane) {
        each(
            [&](auto& o) { detail::notify<detail::OnUnsent>(o, machine, M(message), Lane{lane}); });
    }

    /// The observer at index I.
    template <std::size_t I>
    [[nodiscard]] auto& get() noexcept {
        return std::get<I>(observers_);
    }

private:
    /// Moves with the Tee as a fresh one: a Tee moves only before it is in use.
    struct Life : driver::Lifeline {
        Life() noexcept = default;
        Life(const Life&) noexcept : driver::Lifeline{} {}
    };

    void each(auto&& f) {
        // A hook may destroy the machine, and this with it: the rest is not told any more.
        const driver::TurnGuard guard{life_};
        std::apply([&](auto&... o) { static_cast<void>(((f(o), !guard.gone()) && ...)); },
                   observers_);
    }

    std::tuple<Os...> observers_;
    Life life_;
};

template <class... Os>
Tee(Os...) -> Tee<Os...>;

}  // namespace belay::inline BELAY_ABI
