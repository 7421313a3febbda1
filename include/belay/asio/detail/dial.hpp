// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/dial.hpp
/// AsioDial: the steps from the name of a host to a connected socket of asio.
#pragma once

#include <algorithm>     // std::copy
#include <array>         // std::array
#include <memory>        // std::enable_shared_from_this
#include <optional>      // std::optional
#include <string>        // std::to_string
#include <system_error>  // std::make_error_code
#include <utility>       // std::move, std::exchange
#include <vector>        // std::vector

#include <belay/asio/detail/asio_of.hpp>
#include <belay/asio/detail/close_on_exec.hpp>
#include <belay/core/bytes.hpp>
#include <belay/link/detail/dial_memory.hpp>
#include <belay/link/detail/socket_failure.hpp>
#include <belay/link/link.hpp>
#include <belay/posix/endpoint.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Dials a name: the pending look-up, and then the race between its addresses. The owner of the
/// connection drops it when the connection is open. Every handler holds a reference, and does
/// nothing after cancel().
///
/// Thread safety: the thread that runs the context.
template <class Context>
class AsioDial : public std::enable_shared_from_this<AsioDial<Context>> {
    using Asio = AsioOf<Context>;
    using Tcp = typename Asio::Tcp;
    using Error = typename Asio::Error;
    using Socket = typename Tcp::socket;
    using Race = DialRace;

public:
    using Endpoint = typename Tcp::endpoint;

    /// The most addresses of a name that are used. The others are ignored.
    static constexpr std::size_t addresses_max = 256;

    AsioDial(Context& context, const Link<Bytes>& link, Ref<DialMemory> memory, Duration silent_for)
        : context_{context},
          resolver_{context},
          link_{link},
          plan_{std::move(memory), silent_for} {}
    AsioDial(const AsioDial&) = delete;
    AsioDial& operator=(const AsioDial&) = delete;

    /// Looks a name up.   Throws: std::bad_alloc, and what asio throws.
    void begin(const posix::Endpoint& endpoint) {
        resolver_.async_resolve(
            endpoint.host, std::to_string(endpoint.port), Tcp::resolver::numeric_service,
            [self = this->shared_from_this()](const Error& e, const auto& found) {
                std::vector<Endpoint> addresses;
                for (auto at = found.begin(); at != found.end(); ++at) {
                    if (addresses.size() < addresses_max) addresses.push_back(at->endpoint());
                }
                self->found(e, std::move(addresses));
            });
    }
    /// Takes the addresses of the name. Only the first answer counts.
    void found(const Error& error, std::vector<Endpoint> addresses) {
        if (over_ || found_ || plan_.begun()) return;
        const bool none = addresses.empty();
        if (error) {
            failure_ = failure_of(error);
        } else if (none) {
            failure_ = Failure::from(std::make_error_code(std::errc::address_not_available));
        }
        found_ = std::move(addresses);
        link_.wake();
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (found_ || ready_) return always;
        return plan_.deadline();
    }
    /// Continues.   Returns: whether the dial is over: with socket() if there is one, else with
    /// failure().   Throws: std::bad_alloc, and what asio throws.
    [[nodiscard]] bool advance(Instant now) {
        if (found_) start_race(now);
        if (!plan_.begun()) return false;
        ready_ = false;
        for (auto& slot : slots_) {
            if (slot && slot->ready) finish(slot);
        }
        const bool is_over = plan_.run(
            now, [this](std::size_t attempt) { start(attempt); },
            [this](std::size_t attempt) { slot_of(attempt).reset(); });
        if (!is_over) return false;
        if (plan_.race().has_won()) {
            auto& slot = slot_of(plan_.race().winner());
            socket_.emplace(std::move(slot->socket));
            slot.reset();
        } else if (!plan_.empty()) {
            failure_ = plan_.race().failure();
        }
        return true;
    }
    /// The connected socket.
    [[nodiscard]] std::optional<Socket>& socket() noexcept { return socket_; }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
    /// Ends the dial, closes all sockets except socket(), and passes the result on. Once.
    void cancel() noexcept {
        if (std::exchange(over_, true)) return;
        resolver_.cancel();
        for (auto& slot : slots_) slot.reset();
        plan_.learn(&AsioDial::text_of);
    }

    [[nodiscard]] static Failure failure_of(const Error& error) noexcept {
        Failure failure = socket_failure(Asio::standard(error), Cause::refused);
        if (Asio::unresolved(error)) failure.cause = Cause::refused;
        return failure;
    }
    /// Whether a socket to a free port of the local machine has connected to itself.
    [[nodiscard]] static bool is_connected_to_itself(const Socket& socket) noexcept {
        Error ignored;
        return socket.local_endpoint(ignored) == socket.remote_endpoint(ignored);
    }

private:
    /// An open attempt.
    struct Slot {
        std::size_t attempt;
        Socket socket;
        Error error{};
        bool ready = false;
    };

    [[nodiscard]] static DialAddress key_of(const Endpoint& endpoint) noexcept {
        DialAddress key;
        key.port = endpoint.port();
        const auto address = endpoint.address();
        if (address.is_v6()) {
            const auto bytes = address.to_v6().to_bytes();
            std::copy(bytes.begin(), bytes.end(), key.bytes.begin());
            key.scope = static_cast<std::uint32_t>(address.to_v6().scope_id());
            key.is_v6 = true;
        } else {
            const auto bytes = address.to_v4().to_bytes();
            std::copy(bytes.begin(), bytes.end(), key.bytes.begin());
        }
        return key;
    }
    [[nodiscard]] static std::string text_of(const Endpoint& endpoint) {
        const std::string host = endpoint.address().to_string();
        const bool is_v6 = endpoint.address().is_v6();
        return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
    }
    [[nodiscard]] std::optional<Slot>& slot_of(std::size_t attempt) noexcept {
        for (auto& slot : slots_) {
            if (slot && slot->attempt == attempt) return slot;
        }
        BELAY_INVARIANT(false, "AsioDial: an open attempt must have a socket");
        return slots_.front();
    }
    void start_race(Instant now) {
        const std::vector<Endpoint> found = std::move(*found_);
        found_.reset();
        plan_.begin(found, now, &AsioDial::key_of);
    }
    void start(std::size_t attempt) {
        for (auto& slot : slots_) {
            if (slot) continue;
            slot.emplace(Slot{attempt, Socket{context_}});
            open_to_dial<Error>(slot->socket, plan_.address_of(attempt));
            slot->socket.async_connect(plan_.address_of(attempt),
                                       [self = this->shared_from_this(), attempt](const Error& e) {
                                           self->connected(attempt, e);
                                       });
            return;
        }
        BELAY_INVARIANT(false, "AsioDial: at most open_max attempts may be open");
    }
    /// Keeps a result for the next turn, which has the time.
    void connected(std::size_t attempt, const Error& error) {
        if (over_ || !plan_.race().is_open(attempt)) return;
        Slot& slot = *slot_of(attempt);
        slot.error = error;
        slot.ready = ready_ = true;
        link_.wake();
    }
    void finish(std::optional<Slot>& slot) {
        slot->ready = false;
        const std::size_t attempt = slot->attempt;
        Failure failure = failure_of(slot->error);
        if (!slot->error && is_connected_to_itself(slot->socket)) {
            failure = Failure::from(std::make_error_code(std::errc::connection_refused));
        }
        if (failure.cause == Cause::none) return plan_.race().connected(attempt);
        slot.reset();
        plan_.race().failed(attempt, failure);
    }

    Context& context_;
    typename Tcp::resolver resolver_;
    const Link<Bytes> link_;
    DialPlan<Endpoint> plan_;
    bool ready_ = false;  // a slot has a result
    bool over_ = false;
    std::optional<std::vector<Endpoint>> found_;
    std::array<std::optional<Slot>, Race::open_max> slots_;
    std::optional<Socket> socket_;
    Failure failure_{};
};

}}}  // namespace belay::detail
