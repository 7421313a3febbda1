// SPDX-License-Identifier: MIT
/// \file tests/support/link/fake_transport.hpp
/// FakeTransport: a scripted transport that records every dial, send, close and destruction.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/link/link.hpp>
#include <belay/link/part.hpp>

namespace belay_test {

/// The state of a FakeTransport, which the test owns: the live link, a record of the calls, and what the calls return.
struct TransportState {
    using M = std::string;

    belay::Link<M> link;  ///< of the newest attempt
    int dials = 0;
    int live = 0;  ///< connections that exist
    int most_live = 0;
    int pings = 0;
    int resumes = 0;
    std::size_t limit = 0;         ///< the latest limit of messages
    std::size_t output_limit = 0;  ///< the latest limit of output
    std::vector<std::string> sent;
    std::vector<std::string> log;
    belay::SendResult answer = belay::SendResult::sent;
    /// Runs inside open().
    std::function<void(belay::Link<M>)> on_open;
    /// Runs inside close().
    std::function<void()> on_close;
    /// Runs inside send().
    std::function<void()> on_send;
    /// Runs inside resume_reading().
    std::function<void()> on_resume;
};

/// A connection without optional members; `Full` adds them.
template <bool Full>
class FakeConnection;

template <>
class FakeConnection<false> {
public:
    FakeConnection(TransportState& state, const belay::Link<std::string>& link) : state_{state} {
        state.link = link;
        ++state.dials;
        if (++state.live > state.most_live) state.most_live = state.live;
        state.log.emplace_back("open");
        if (state.on_open) state.on_open(link);
    }
    FakeConnection(const FakeConnection&) = delete;
    FakeConnection& operator=(const FakeConnection&) = delete;
    ~FakeConnection() {
        --state_.live;
        state_.log.emplace_back("destroy");
    }
    belay::SendResult send(const std::string& m) noexcept {
        if (state_.on_send) state_.on_send();
        if (state_.answer == belay::SendResult::sent) state_.sent.push_back(m);
        return state_.answer;
    }

protected:
    TransportState& state_;
};

template <>
class FakeConnection<true> : public FakeConnection<false> {
public:
    using FakeConnection<false>::FakeConnection;
    void close(const belay::Failure&) noexcept {
        state_.log.emplace_back("close");
        if (state_.on_close) state_.on_close();
    }
    void ping() noexcept { ++state_.pings; }
    void resume_reading() noexcept {
        ++state_.resumes;
        if (state_.on_resume) state_.on_resume();
    }
    void limit_messages(std::size_t bytes) noexcept { state_.limit = bytes; }
    void limit_output(std::size_t bytes) noexcept { state_.output_limit = bytes; }
};

template <bool Full = true>
struct FakeTransport {
    using message_type = std::string;
    explicit FakeTransport(TransportState& s) : state{&s} {}
    FakeConnection<Full> open(belay::Link<std::string> link) { return {*state, link}; }
    TransportState* state;
};

/// A decorator that holds back the ends of its connection at `level`, such as that of a report.
struct Tolerant : belay::part::Around<FakeTransport<>> {
    explicit Tolerant(FakeTransport<> inner, unsigned level = 0)
        : Around{std::move(inner)}, depth{level} {}
    unsigned depth;
    struct Connection
        : belay::part::Wrapped<belay::part::ConnectionOf<FakeTransport<>>, std::string> {
        using Base = belay::part::Wrapped<belay::part::ConnectionOf<FakeTransport<>>, std::string>;
        Connection(Tolerant& owner, const belay::Link<std::string>& own)
            : Base{[&] { return owner.inner_.open(own.child()); }}, depth{owner.depth} {}
        [[nodiscard]] bool sift(belay::part::Event<std::string>& event, belay::Turn& turn) {
            if (event.depth == depth && event.kind == belay::part::EventKind::closed) return false;
            return Base::sift(event, turn);
        }
        unsigned depth;
    };
    [[nodiscard]] Connection open(const belay::Link<std::string>& link) { return {*this, link}; }
};

}  // namespace belay_test
