// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/dial.hpp
/// AsioDial: the steps from the name of a host to a connected socket of asio.
/// AsioResolver: the resolver of a context, with which transports over asio look up names.
#pragma once

#include <algorithm>     // std::copy
#include <array>         // std::array
#include <cstdint>       // std::uint16_t
#include <memory>        // std::enable_shared_from_this, std::make_shared
#include <optional>      // std::optional
#include <string>        // std::string, std::to_string
#include <system_error>  // std::make_error_code
#include <utility>       // std::move, std::exchange
#include <vector>        // std::vector

#include <belay/asio/detail/asio_of.hpp>
#include <belay/core/bytes.hpp>
#include <belay/link/detail/dial_race.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver_like.hpp>
#if !defined(_WIN32)
#    include <belay/posix/resolver.hpp>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Looks up names by asio, which has one thread for all names of a context, and joins it when the
/// context ends.
///
/// Models:        ResolverLike.
/// Thread safety: the thread that runs the context.
template <class Context>
class AsioSystemResolver {
    using Asio = AsioOf<Context>;
    using Tcp = typename Asio::Tcp;

public:
    explicit AsioSystemResolver(Context& context) noexcept : context_{context} {}

    /// Throws: std::bad_alloc, and what asio throws.
    void look_up(const std::string& host, Completion<posix::HostAddresses> done) {
        const auto resolver = std::make_shared<typename Tcp::resolver>(context_);
        resolver->async_resolve(
            host, "0", Tcp::resolver::numeric_service,
            [resolver, kept = std::move(done)](const typename Asio::Error& error,
                                               const auto& found) mutable {
                posix::HostAddresses addresses;
                if (error) {
                    // An unknown name may become known later.
                    addresses.error = Asio::unresolved(error)
                                          ? std::make_error_code(std::errc::host_unreachable)
                                          : Asio::standard(error);
                }
                for (auto at = found.begin(); at != found.end(); ++at) {
                    addresses.addresses.push_back(at->endpoint().address().to_string());
                }
                kept(std::move(addresses));
            });
    }

private:
    Context& context_;
};

template <class Context>
using AsioService = typename AsioOf<Context>::ExecutionContext::service;

/// The resolver of a context. It ends with the context, and waits for no look-up.
template <class Context>
class AsioResolver : public AsioService<Context> {
    using Execution = typename AsioOf<Context>::ExecutionContext;

public:
    inline static typename Execution::id id{};  // asio's key of the service

    explicit AsioResolver(Execution& context) : Execution::service{context} {}

    [[nodiscard]] static posix::ResolverRef of(Context& context) {
        return use_service<AsioResolver>(static_cast<Execution&>(context)).resolver_;
    }

private:
    void shutdown() override {}

#if defined(_WIN32)
    AsioSystemResolver<Context> resolver_{static_cast<Context&>(this->context())};
#else
    posix::Resolver resolver_{};
#endif
};

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
        : context_{context}, link_{link}, plan_{std::move(memory), silent_for} {}
    AsioDial(const AsioDial&) = delete;
    AsioDial& operator=(const AsioDial&) = delete;

    /// Looks a name up, by the resolver of the context if there is no other.
    /// Throws: std::bad_alloc, and what the resolver and asio throw.
    void begin(const posix::Endpoint& endpoint, posix::ResolverRef resolver) {
        port_ = endpoint.port;
        work_.emplace(context_.get_executor());
        look_up_.begin(link_, resolver ? resolver : AsioResolver<Context>::of(context_),
                       endpoint.host);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (ready_) return always;
        return plan_.begun() ? plan_.deadline() : look_up_.deadline();
    }
    /// Continues.   Returns: whether the dial is over: with socket() if there is one, else with
    /// failure().   Throws: std::bad_alloc, and what asio throws.
    [[nodiscard]] bool advance(Instant now) {
        if (!plan_.begun() && !start_race(now)) return false;
        ready_ = false;
        for (std::size_t i = 0; i < slots_.size(); ++i) finish(i);
        const bool is_over = plan_.run(
            now, [this](std::size_t attempt) { start(attempt); },
            [this](std::size_t attempt) { slots_[attempt].reset(); });
        if (!is_over) return false;
        if (plan_.race().has_won()) {
            auto& slot = slots_[plan_.race().winner()];
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
        look_up_.drop();
        work_.reset();
        for (auto& slot : slots_) slot.reset();
        plan_.learn(&AsioDial::text_of);
    }

    /// Returns the failure of an attempt that has ended with `error`; Cause::none if it connected.
    [[nodiscard]] static Failure failure_of(const Socket& socket, const Error& error) noexcept {
        if (error) return socket_failure(Asio::standard(error), Cause::refused);
        // A dial to a free port of the local machine may connect to itself.
        Error ignored;
        if (socket.local_endpoint(ignored) != socket.remote_endpoint(ignored)) return {};
        return Failure::from(std::make_error_code(std::errc::connection_refused));
    }

private:
    /// An open attempt.
    struct Slot {
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
    /// Returns: false if the addresses are not known yet.
    [[nodiscard]] bool start_race(Instant now) {
        const std::optional<posix::HostAddresses> found = look_up_.advance(link_);
        if (!found) return false;
        work_.reset();
        std::error_code error = found->error;
        std::vector<Endpoint> addresses;
        for (const std::string& host : found->addresses) {
            Error wrong;
            const auto address = Asio::address(host, wrong);
            if (!wrong && addresses.size() < addresses_max) addresses.emplace_back(address, port_);
        }
        if (addresses.empty()) {
            if (!error) error = std::make_error_code(std::errc::address_not_available);
            failure_ = socket_failure(error, Cause::refused);
        }
        plan_.begin(addresses, now, &AsioDial::key_of);
        return true;
    }
    void start(std::size_t attempt) {
        Socket& socket = slots_[attempt].emplace(Slot{Socket{context_}}).socket;
        open_to_dial<Error>(socket, plan_.address_of(attempt));
        socket.async_connect(plan_.address_of(attempt),
                             [self = this->shared_from_this(), attempt](const Error& e) {
                                 self->connected(attempt, e);
                             });
    }
    /// Keeps a result for the next turn, which has the time.
    void connected(std::size_t attempt, const Error& error) {
        if (over_ || !plan_.race().is_open(attempt)) return;
        Slot& slot = *slots_[attempt];
        slot.error = error;
        slot.ready = ready_ = true;
        link_.wake();
    }
    void finish(std::size_t attempt) {
        std::optional<Slot>& slot = slots_[attempt];
        if (!slot || !std::exchange(slot->ready, false)) return;
        const Failure failure = failure_of(slot->socket, slot->error);
        if (failure.cause == Cause::none) return plan_.race().connected(attempt);
        slot.reset();
        plan_.race().failed(attempt, failure);
    }

    Context& context_;
    const Link<Bytes> link_;
    DialPlan<Endpoint> plan_;
    bool ready_ = false;  // a slot has a result
    bool over_ = false;
    posix::detail::PendingLookUp<Bytes> look_up_;
    /// The context runs while a look-up is under way.
    std::optional<typename Asio::Work> work_;
    std::uint16_t port_ = 0;
    std::array<std::optional<Slot>, Race::attempts_max> slots_{};  // by attempt
    std::optional<Socket> socket_;
    Failure failure_{};
};

}}}  // namespace belay::detail
