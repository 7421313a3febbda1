// SPDX-License-Identifier: MIT
/// \file tests/support/link/fake_transport.hpp
/// FakeTransport: a scripted transport that records every dial, send, close and destruction.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/link/link.hpp>

namespace belay_test {

/// What a FakeTransport did, and the live link; shared with the test.
struct Wire {
    using M = std::string;

    belay::Link<M> link;  ///< of the newest attempt
    int dials = 0;
    int live = 0;  ///< connections that exist
    int most_live = 0;
    int pings = 0;
    int resumes = 0;
    std::size_t limit = 0;         ///< of messages; the latest that was set
    std::size_t output_limit = 0;  ///< likewise
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
    FakeConnection(Wire& wire, const belay::Link<std::string>& link) : wire_{wire} {
        wire.link = link;
        ++wire.dials;
        if (++wire.live > wire.most_live) wire.most_live = wire.live;
        wire.log.emplace_back("open");
        if (wire.on_open) wire.on_open(link);
    }
    FakeConnection(const FakeConnection&) = delete;
    FakeConnection& operator=(const FakeConnection&) = delete;
    ~FakeConnection() {
        --wire_.live;
        wire_.log.emplace_back("destroy");
    }
    belay::SendResult send(const std::string& m) noexcept {
        if (wire_.on_send) wire_.on_send();
        if (wire_.answer == belay::SendResult::sent) wire_.sent.push_back(m);
        return wire_.answer;
    }

protected:
    Wire& wire_;
};

template <>
class FakeConnection<true> : public FakeConnection<false> {
public:
    using FakeConnection<false>::FakeConnection;
    void close(const belay::Failure&) noexcept {
        wire_.log.emplace_back("close");
        if (wire_.on_close) wire_.on_close();
    }
    void ping() noexcept { ++wire_.pings; }
    void resume_reading() noexcept {
        ++wire_.resumes;
        if (wire_.on_resume) wire_.on_resume();
    }
    void limit_messages(std::size_t bytes) noexcept { wire_.limit = bytes; }
    void limit_output(std::size_t bytes) noexcept { wire_.output_limit = bytes; }
};

template <bool Full = true>
struct FakeTransport {
    using message_type = std::string;
    explicit FakeTransport(Wire& w) : wire{&w} {}
    FakeConnection<Full> open(belay::Link<std::string> link) { return {*wire, link}; }
    Wire* wire;
};

}  // namespace belay_test
