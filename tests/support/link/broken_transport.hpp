// SPDX-License-Identifier: MIT
/// \file tests/support/link/broken_transport.hpp
/// BrokenTransport: a transport to an echo in memory, with one planted mistake, or none, for
/// the test of check::transport.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <belay/link/transport_like.hpp>

namespace belay_test {

enum class TransportMistake {
    none,
    never_opens,
    opens_twice,
    opens_late,
    reports_closed_inside_open,
    sends_before_it_opens,
    takes_before_it_opens,
    loses_one,
    sends_one_twice,
    swaps_two,
    cuts_one_short,
    takes_without_end,
    stalls_after_busy,
    reports_space_twice,
    reports_space_unrequested,
    misreports_space,
    floods_on_full,
    offers_the_rejected_last,
    ignores_ping,
    ignores_the_limit,
    delivers_beyond_the_limit,
    never_reports_the_end,
    closes_twice,
    sends_after_the_end,
    takes_after_the_end,
    opens_once_only,
    never_ends_its_close,
    reports_in_its_destructor,
    reports_after_its_destructor
};

/// At most eight messages are on their way to the peer, which answers one in each step.
template <TransportMistake mistake>
class BrokenTransport {
    using M = TransportMistake;
    static constexpr bool is(M m) noexcept { return mistake == m; }

public:
    using message_type = std::string;
    using L = belay::Link<std::string>;

    class Connection {
    public:
        Connection(BrokenTransport& owner, const L& link) : owner_{owner}, link_{link} {
            owner.live = this;
            const bool again = owner.opens++ > 0;
            if (is(M::opens_once_only) && again) state_ = State::cut_off;
            if (is(M::reports_closed_inside_open)) link.closed();
            if (is(M::sends_before_it_opens)) link.pong();
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() {
            if (is(M::reports_in_its_destructor)) link_.closed();
            // A handler that was queued, and is called with "aborted".
            if (is(M::reports_after_its_destructor)) owner_.aborted.push_back({link_, 3});
            if (owner_.live == this) owner_.live = nullptr;
        }

        belay::SendResult send(const std::string& m) noexcept {
            using enum belay::SendResult;
            if (state_ == State::dialling && !is(M::takes_before_it_opens)) return down;
            if (state_ == State::over) return is(M::takes_after_the_end) ? sent : down;
            if (false_busy_ > 0 && --false_busy_ >= 0) return busy_once();
            if (way_.size() >= 8 && !is(M::takes_without_end)) return busy_once();
            ++count_;
            if (is(M::loses_one) && count_ == 7) return sent;
            if (is(M::swaps_two) && count_ == 7) {
                stashed_ = m;
                return sent;
            }
            way_.push_back(is(M::cuts_one_short) && count_ == 7 ? m.substr(1) : m);
            if (is(M::sends_one_twice) && count_ == 7) way_.push_back(m);
            if (is(M::swaps_two) && count_ == 8) way_.push_back(std::move(stashed_));
            return sent;
        }
        void ping() noexcept { pinged_ = true; }
        void limit_messages(std::size_t bytes) noexcept { limit_ = bytes; }
        void resume_reading() noexcept {
            if (held_) offer(*held_, true);
        }
        void close(const belay::Failure&) noexcept {
            if (!is(M::never_ends_its_close)) ends_ = true;
        }

        void step() {
            if (state_ == State::over) {
                if (is(M::opens_late) && ++steps_over_ == 3) link_.opened();
                if (is(M::sends_after_the_end) && ++steps_over_ == 3) link_.pong();
                return;
            }
            if (state_ == State::cut_off || is(M::never_opens)) return;
            if (state_ == State::dialling) {
                state_ = State::open;
                link_.opened();
                if (is(M::opens_twice)) link_.opened();
                return;
            }
            if (ends_) {
                state_ = State::over;
                link_.closed();
                if (is(M::closes_twice)) link_.closed();
                return;
            }
            if (std::exchange(pinged_, false) && !is(M::ignores_ping)) link_.pong();
            if (is(M::reports_space_unrequested) && ++steps_ == 5) link_.writable();
            if (!held_ && !way_.empty()) deliver();
            if (!busy_ || way_.size() > 4 || is(M::stalls_after_busy)) return;
            busy_ = false;
            if (is(M::misreports_space)) false_busy_ = 2;
            link_.writable();
            if (is(M::reports_space_twice)) link_.writable();
        }
        /// The peer ends the connection.
        void hang_up() noexcept {
            if (is(M::never_reports_the_end)) {
                state_ = State::over;
            } else {
                ends_ = true;
            }
        }

    private:
        enum class State { dialling, open, over, cut_off };

        belay::SendResult busy_once() noexcept {
            busy_ = true;
            return belay::SendResult::busy;
        }
        void deliver() {
            std::string m = std::move(way_.front());
            way_.pop_front();
            if (m.size() > limit_ && !is(M::ignores_the_limit)) {
                ends_ = true;
                if (!is(M::delivers_beyond_the_limit)) return;
            }
            offer(m, false);
        }
        void offer(std::string m, bool again) {
            if (link_.received(std::move(m)) == belay::driver::Post::taken) {
                held_.reset();
            } else if (is(M::offers_the_rejected_last) && !again && !way_.empty()) {
                way_.push_back(std::move(m));
            } else if (!is(M::floods_on_full)) {
                held_ = std::move(m);
            }
        }

        BrokenTransport& owner_;
        L link_;
        State state_ = State::dialling;
        std::deque<std::string> way_;
        std::string stashed_;
        std::optional<std::string> held_;
        std::size_t limit_ = static_cast<std::size_t>(-1);
        int count_ = 0;
        int steps_ = 0;
        int steps_over_ = 0;
        int false_busy_ = 0;
        bool busy_ = false;
        bool pinged_ = false;
        bool ends_ = false;
    };

    Connection open(const L& link) { return {*this, link}; }

    void run_aborted() {
        for (auto& [link, turns_left] : aborted) {
            if (--turns_left == 0) link.closed();
        }
    }

    struct Aborted {
        L link;
        int turns_left;
    };
    std::vector<Aborted> aborted;
    Connection* live = nullptr;
    int opens = 0;
};

template <TransportMistake mistake>
struct BrokenTransportRig {
    BrokenTransport<mistake> transport;
    void run_once() {
        transport.run_aborted();
        if (transport.live != nullptr) transport.live->step();
    }
    void hang_up() {
        if (transport.live != nullptr) transport.live->hang_up();
    }
};

}  // namespace belay_test
