// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/dial.hpp
/// Dial: the steps from the name of a host to a connected socket.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/link/detail/dial_race.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/posix/detail/addresses.hpp>
#include <belay/posix/detail/pending_look_up.hpp>
#include <belay/posix/poller.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// Returns the result of an attempt whose socket has become writable.
[[nodiscard]] inline std::error_code result_of_connect(const Socket& socket) noexcept {
    const std::error_code error = socket.take_error();
    if (error || !connected_to_itself(socket)) return error;
    return std::make_error_code(std::errc::connection_refused);
}

/// Returns the failure of a dial over the network.
[[nodiscard]] inline Failure failure_of_dial(const std::error_code& error) noexcept {
    return belay::detail::socket_failure(error, Cause::refused);
}

/// The resolver and the memory with which a transport dials names.
struct DialNames {
    ResolverRef resolver{};                          ///< none: a look-up blocks
    belay::detail::OwnDialMemory* memory = nullptr;  ///< null: nothing is remembered
};

/// Dials a name: the pending look-up, and then the race between its addresses. It lives until the
/// connection is open.
///
/// Thread safety: the loop's thread.
class Dial : public belay::detail::Counted {
    using Race = belay::detail::DialRace;
    using Memory = belay::detail::DialMemory;
    static_assert(Race::open_max == 4, "Dial: each open attempt needs a slot");

public:
    Dial(Poller& poller, const Link<Bytes>& link, belay::detail::Ref<Memory> memory,
         Duration silent_for) noexcept
        : link_{link},
          plan_{std::move(memory), silent_for},
          slots_{Slot{*this, poller}, Slot{*this, poller}, Slot{*this, poller},
                 Slot{*this, poller}} {}
    ~Dial() {
        plan_.learn([](const SocketAddress& address) { return address.text(); });
    }

    /// Looks the name up. Without a resolver it blocks.   Throws: std::bad_alloc.
    void begin(const Endpoint& endpoint, ResolverRef resolver) {
        port_ = endpoint.port;
        if (resolver) {
            look_up_.begin(link_, resolver, endpoint.host);
        } else {
            found_.emplace(look_up_by_system(endpoint.host));
        }
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (found_ || ready_) return always;
        return plan_.begun() ? plan_.deadline() : look_up_.deadline();
    }
    /// Continues.   Returns: whether the dial is over: with socket() if it is not empty, else with
    /// failure().   Throws: std::bad_alloc.
    [[nodiscard]] bool advance(Instant now) {
        if (!plan_.begun() && !found_) found_ = look_up_.advance(link_);
        if (found_) start_race(now);
        if (!plan_.begun()) return false;
        ready_ = false;
        for (Slot& slot : slots_) slot.finish();
        const bool is_over = plan_.run(
            now, [this](std::size_t attempt) { start(attempt); },
            [this](std::size_t attempt) { slot_of(attempt).close(); });
        if (!is_over) return false;
        if (plan_.race().has_won()) {
            socket_ = slot_of(plan_.race().winner()).release();
        } else if (!plan_.empty()) {
            failure_ = plan_.race().failure();
        }
        return true;
    }
    [[nodiscard]] Socket& socket() noexcept { return socket_; }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

private:
    /// The slot of an open attempt.
    class Slot {
    public:
        Slot(Dial& owner, Poller& poller) noexcept
            : owner_{owner},
              watch_{poller, this, [](void* self, short) { static_cast<Slot*>(self)->ready(); }} {}
        [[nodiscard]] bool is_for(std::size_t attempt) const noexcept {
            return socket_ && attempt_ == attempt;
        }
        [[nodiscard]] bool is_free() const noexcept { return !socket_; }
        /// Throws: std::bad_alloc.
        void open(std::size_t attempt, Socket socket) {
            watch_.start(socket.get(), POLLOUT);
            socket_ = std::move(socket);
            attempt_ = attempt;
            ready_ = false;
        }
        void close() noexcept { static_cast<void>(release()); }
        [[nodiscard]] Socket release() noexcept {
            watch_.stop();
            return std::move(socket_);
        }
        /// Reports the result of the attempt, if there is one.
        void finish() noexcept {
            if (!socket_ || !std::exchange(ready_, false)) return;
            const std::error_code error = result_of_connect(socket_);
            if (!error) return owner_.plan_.race().connected(attempt_);
            close();
            owner_.plan_.race().failed(attempt_, failure_of_dial(error));
        }

    private:
        /// Results are handled in a turn, which has the time.
        void ready() noexcept {
            watch_.modify(0);
            ready_ = owner_.ready_ = true;
            owner_.link_.wake();
        }

        Dial& owner_;
        std::size_t attempt_ = 0;
        bool ready_ = false;
        Socket socket_;
        /// Last, so that it ends before the descriptor is closed.
        Watch watch_;
    };

    [[nodiscard]] Slot& slot_of(std::size_t attempt) noexcept {
        for (Slot& slot : slots_) {
            if (slot.is_for(attempt)) return slot;
        }
        BELAY_INVARIANT(false, "Dial: an open attempt must have a socket");
        return slots_.front();
    }
    void start_race(Instant now) {
        const HostAddresses found = std::move(*found_);
        found_.reset();
        std::error_code error = found.error;
        std::vector<SocketAddress> addresses;
        for (const std::string& host : found.addresses) {
            Addresses numeric;
            error = numeric.resolve_numeric({host, port_}, false);
            append(addresses, numeric.first());
        }
        if (addresses.empty()) {
            if (!error) error = std::make_error_code(std::errc::address_not_available);
            failure_ = failure_of_dial(error);
        }
        plan_.begin(addresses, now, [](const SocketAddress& a) { return a.key(); });
    }
    void start(std::size_t attempt) {
        std::error_code error;
        Socket socket = start_to_connect(plan_.address_of(attempt), error);
        if (!socket) return plan_.race().failed(attempt, failure_of_dial(error));
        for (Slot& slot : slots_) {
            if (slot.is_free()) return slot.open(attempt, std::move(socket));
        }
        BELAY_INVARIANT(false, "Dial: at most open_max attempts may be open");
    }
    const Link<Bytes> link_;
    belay::detail::DialPlan<SocketAddress> plan_;
    std::uint16_t port_ = 0;
    bool ready_ = false;  // a slot has a result
    PendingLookUp<Bytes> look_up_;
    std::optional<HostAddresses> found_;
    std::array<Slot, Race::open_max> slots_;
    Socket socket_;
    Failure failure_{};
};

}}}  // namespace belay::posix::detail
