// SPDX-License-Identifier: MIT
/// \file tests/support/posix/tcp_rig.hpp
/// TcpRig: a supervised posix::Tcp against a plain socket, on a clock that the test moves.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/clocks.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/posix/loop.hpp>
#include <belay/posix/tcp.hpp>

#include "support/posix/raw_socket.hpp"

namespace belay_test {

inline auto tcp_policy() {
    using namespace std::chrono_literals;
    return belay::Policy{belay::Backoff{belay::NoJitter{}, belay::Cap{1s}, 100ms}};
}
using TcpPolicy = decltype(tcp_policy());

/// Records the events that it sees.
struct TcpApp {
    std::vector<std::string> messages;
    std::vector<belay::LinkState> states;
    int writables = 0;
    belay::Failure failure{};  ///< of the newest loss

    void on_state(const belay::Transition& t) {
        states.push_back(t.to.state);
        if (t.to.failure.cause != belay::Cause::none) failure = t.to.failure;
    }
    void on_message(belay::Bytes m, belay::Lane) { messages.emplace_back(belay::as_text(m)); }
    void on_writable(belay::Lane) { ++writables; }
    [[nodiscard]] belay::LinkState state() const {
        return states.empty() ? belay::LinkState::stopped : states.back();
    }
};

/// A frame as in docs/reference/posix.md, written independently.
inline std::string frame(std::string_view payload, char kind = 0) {
    std::string f(5, '\0');
    for (int i = 0; i < 4; ++i) {
        f[static_cast<std::size_t>(i)] = static_cast<char>(payload.size() >> (8 * i));
    }
    f[4] = kind;
    return f.append(payload);
}
inline const std::string ping_frame = frame("", 1);
inline const std::string pong_frame = frame("", 2);

using ClockedLoop = belay::posix::Loop<belay::ManualClock::View>;

template <class T>
using TcpSupervisor = belay::Supervisor<T, TcpPolicy, std::reference_wrapper<TcpApp>>;

/// `make` makes the supervised transport from the posix::Tcp.
template <class T = belay::posix::Tcp<>, class Framing = belay::LengthPrefixed>
struct TcpRig {
    explicit TcpRig(
        belay::posix::TcpOptions options = {}, belay::SupervisorOptions supervision = {},
        const std::function<T(belay::posix::Tcp<Framing>)>& make =
            [](belay::posix::Tcp<Framing> tcp) { return T{std::move(tcp)}; },
        Framing framing = {})
        : link{make(belay::posix::Tcp{loop, {"127.0.0.1", server.port()}, framing, options}),
               tcp_policy(), supervision, std::ref(app)} {}

    /// Runs the loop until `holds()`. If it never holds, the test's own time limit ends it.
    template <class F>
    void until(F&& holds) {
        REQUIRE(loop.run_until(std::forward<F>(holds)));
    }
    /// The same without waiting, for conditions that depend on the actions of `peer`.
    template <class F>
    void spin_until(F&& holds) {
        until([&] {
            loop.post([] {});
            return holds();
        });
    }
    void round() {
        until([] { return true; });
    }
    void until_state(belay::LinkState state) {
        until([&] { return app.state() == state; });
    }
    /// A rig with this framing, and otherwise the defaults.
    static TcpRig framed(Framing framing, belay::posix::TcpOptions options = {}) {
        return TcpRig{
            options, {}, [](belay::posix::Tcp<Framing> tcp) { return T{std::move(tcp)}; }, framing};
    }
    void connect() {
        loop.attach(link);
        link.start();
        until_state(belay::LinkState::connected);
        peer = server.accept();
    }
    /// Runs the loop until the peer has read this many bytes.
    std::string peer_reads(std::size_t bytes) {
        std::string text;
        spin_until([&] { return (text += peer.read_some()).size() >= bytes; });
        return text;
    }

    belay::ManualClock clock{belay::Instant{std::chrono::hours{1}}};
    ClockedLoop loop{clock.view()};
    RawSocket server = RawSocket::listen();
    RawSocket peer;
    TcpApp app;
    TcpSupervisor<T> link;
};

}  // namespace belay_test
