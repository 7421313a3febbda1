// SPDX-License-Identifier: MIT
/// \file tests/support/beast/websocket_rig.hpp
/// WebSocketRig: a supervised beast::WebSocket, and its notifications.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/asio/loop.hpp>
#include <belay/beast/websocket.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>

#include "support/asio/run_until.hpp"
#include "support/catch.hpp"

namespace belay_test {

struct WebSocketApp {
    std::vector<std::string> messages{};
    belay::LinkState state = belay::LinkState::stopped;
    belay::Failure failure{};
    int ends = 0;
    void on_state(const belay::Transition& t) {
        using enum belay::LinkState;
        state = t.to.state;
        const bool was = t.from == connected || t.from == connecting;
        if (was && state != connected) failure = t.to.failure, ++ends;
    }
    void on_message(const belay::Bytes& m) { messages.emplace_back(belay::as_text(m)); }
};

/// A policy of one attempt; the transport is made by `make(context)`.
template <class Transport>
struct WebSocketRig {
    using Policy = belay::Policy<belay::MaxAttempts>;
    template <class Make>
    explicit WebSocketRig(Make make)
        : link{make(context), Policy{belay::MaxAttempts{1}}, {}, std::ref(app)} {
        loop.attach(link);
        link.start();
    }
    template <class Done>
    void until(Done done) {
        run_until(context, done);
    }
    void connect() {
        until([&] { return app.state == belay::LinkState::connected || app.ends > 0; });
        INFO(app.failure.message());
        REQUIRE(app.state == belay::LinkState::connected);
    }
    /// The reason why its attempt, or connection, ended.
    belay::Failure failure() {
        until([&] { return app.ends > 0; });
        return app.failure;
    }
    std::string message() {
        until([&] { return !app.messages.empty() || app.ends > 0; });
        INFO(app.failure.message());
        REQUIRE(!app.messages.empty());
        return app.messages.front();
    }

    boost::asio::io_context context{};
    belay::AsioLoop<boost::asio::io_context> loop{context};
    WebSocketApp app{};
    belay::Supervisor<Transport, Policy, std::reference_wrapper<WebSocketApp>> link;
};

}  // namespace belay_test
