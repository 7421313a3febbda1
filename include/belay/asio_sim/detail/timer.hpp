// SPDX-License-Identifier: MIT
/// \file belay/asio_sim/detail/timer.hpp
/// AsioSimTimer, AsioSimResolver: asio's timer and resolver in a simulated world.
#pragma once

#include <algorithm>    // std::find_if
#include <charconv>     // std::from_chars
#include <chrono>       // std::chrono::milliseconds
#include <deque>        // std::deque
#include <memory>       // std::shared_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange

#include <belay/asio_sim/detail/context.hpp>
#include <belay/core/instant.hpp>
#include <belay/sim/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Operations that a time, or a cancellation, completes.
template <class... A>
class AsioSimWaits {
public:
    void add(AsioSimOp<A...> op) { ops_.push_back(std::move(op)); }
    [[nodiscard]] bool empty() const noexcept { return ops_.empty(); }
    [[nodiscard]] AsioSimOp<A...> pop() {
        AsioSimOp<A...> first = std::move(ops_.front());
        ops_.pop_front();
        return first;
    }
    /// Returns the operation with a number; an empty one if there is none.
    [[nodiscard]] AsioSimOp<A...> take(std::uint64_t id) {
        const auto at =
            std::find_if(ops_.begin(), ops_.end(), [&](const auto& op) { return op.id == id; });
        if (at == ops_.end()) return {};
        AsioSimOp<A...> found = std::move(*at);
        ops_.erase(at);
        return found;
    }
    /// Completes each.   Returns: their number.
    std::size_t complete_all(const A&... results) {
        auto all = std::exchange(ops_, {});
        for (AsioSimOp<A...>& op : all) op.complete(results...);
        return all.size();
    }
    void drop() { const auto all = std::exchange(ops_, {}); }

private:
    std::deque<AsioSimOp<A...>> ops_;
};

/// The waits of one timer.
template <class Asio>
class AsioSimAlarm final : public AsioSimObject,
                           public std::enable_shared_from_this<AsioSimAlarm<Asio>> {
    using Error = typename Asio::Error;

public:
    explicit AsioSimAlarm(sim::Host& host) noexcept : host_{host} {}

    /// Cancels all waits, and sets the time of later ones.   Returns: the number of waits.
    std::size_t expires_at(Instant time) {
        const std::size_t cancelled = cancel();
        time_ = time;
        return cancelled;
    }
    void wait(AsioSimOp<Error> op) {
        waits_.add(std::move(op));
        if (timer_.waits() || time_ == never) return;
        timer_ = host_.at(time_, [weak = this->weak_from_this()] {
            if (const auto self = weak.lock()) self->waits_.complete_all(Error{});
        });
    }
    std::size_t cancel() {
        timer_.cancel();
        return waits_.complete_all(Asio::aborted());
    }
    std::size_t cancel_one() {
        if (waits_.empty()) return 0;
        auto op = waits_.pop();
        op.complete(Asio::aborted());
        return 1;
    }
    void cancel(std::uint64_t id) {
        if (auto op = waits_.take(id); op.complete) op.complete(Asio::aborted());
    }
    void drop() override {
        timer_.cancel();
        waits_.drop();
    }
    [[nodiscard]] Instant time() const noexcept { return time_; }
    [[nodiscard]] sim::Host& host() const noexcept { return host_; }

private:
    sim::Host& host_;
    Instant time_{};
    Timer timer_;
    AsioSimWaits<Error> waits_;
};

/// The clock of a timer: the steady clock of the host. Call now() in a process.
struct AsioSimClock {
    using duration = Duration;
    using rep = Duration::rep;
    using period = Duration::period;
    using time_point = Instant;
    static constexpr bool is_steady = true;
    [[nodiscard]] static time_point now() noexcept { return AsioSimCore::now(); }
};

/// A timer in virtual time, with the interface of asio::steady_timer.
///
/// Its times count from the start of the world: those of std::chrono::steady_clock do not fit.
///
/// Thread safety: the world's thread.
template <class Asio, class Executor = typename Asio::Executor>
class AsioSimTimer {
    using Error = typename Asio::Error;
    using Alarm = AsioSimAlarm<Asio>;

public:
    using executor_type = Executor;
    template <class Other>
    struct rebind_executor {
        using other = AsioSimTimer<Asio, Other>;
    };
    using clock_type = AsioSimClock;
    using duration = Duration;
    using time_point = Instant;

    explicit AsioSimTimer(executor_type executor)
        : executor_{std::move(executor)},
          core_{asio_sim_core<Asio>(executor_)},
          alarm_{std::make_shared<Alarm>(core_->host())} {
        core_->add(alarm_);
    }
    explicit AsioSimTimer(AsioSimContext<Asio>& context)
        : AsioSimTimer{executor_type{context.get_executor()}} {}
    AsioSimTimer(executor_type executor, duration d) : AsioSimTimer{std::move(executor)} {
        expires_after(d);
    }
    AsioSimTimer(AsioSimContext<Asio>& context, duration d) : AsioSimTimer{context} {
        expires_after(d);
    }
    AsioSimTimer(executor_type executor, time_point time) : AsioSimTimer{std::move(executor)} {
        expires_at(time);
    }
    AsioSimTimer(AsioSimTimer&&) noexcept = default;
    template <AsioSimRebinds<Executor> Other>
    AsioSimTimer(AsioSimTimer<Asio, Other>&& other)
        : executor_{other.executor_}, core_{other.core_}, alarm_{std::move(other.alarm_)} {}
    AsioSimTimer& operator=(AsioSimTimer&& other) {
        if (this == &other) return *this;
        if (alarm_) alarm_->cancel();
        executor_ = other.executor_;
        core_ = other.core_;
        alarm_ = std::move(other.alarm_);
        return *this;
    }
    ~AsioSimTimer() {
        if (alarm_) alarm_->cancel();
    }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    [[nodiscard]] time_point expiry() const noexcept { return alarm_->time(); }
    /// Cancels all waits, and sets the time. A time before now is now.   Returns: the number of
    /// cancelled waits.
    std::size_t expires_at(time_point time) { return alarm_->expires_at(time); }
    std::size_t expires_after(duration d) {
        const Instant now = alarm_->host().now();
        return expires_at(d < Duration::zero() ? now : after(now, d));
    }
    /// Completes all waits with operation_aborted.   Returns: their number.
    std::size_t cancel() { return alarm_->cancel(); }
    std::size_t cancel_one() { return alarm_->cancel_one(); }

    /// Does not compile: time passes only between the handlers of a world.
    template <class... A>
        requires(sizeof...(A) <= 1)
    void wait(A&...) const {
        static_assert(sizeof...(A) > 1,
                      "sim::AsioNet: steady_timer::wait blocks, and a world has no functions that "
                      "block; use async_wait");
    }
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_wait(Token&& token = Token{}) {
        return Asio::template initiate<void(Error), Token>(
            [this](auto&& handler) {
                alarm_->wait(make_asio_sim_op<Asio, Error>(std::forward<decltype(handler)>(handler),
                                                           executor_, *core_,
                                                           std::weak_ptr<Alarm>{alarm_}));
            },
            token);
    }

private:
    template <class, class>
    friend class AsioSimTimer;

    executor_type executor_;
    std::shared_ptr<AsioSimCore> core_;
    std::shared_ptr<Alarm> alarm_;
};

/// The pending look-ups of one resolver.
template <class Asio>
class AsioSimLookUps final : public AsioSimObject,
                             public std::enable_shared_from_this<AsioSimLookUps<Asio>> {
    using Error = typename Asio::Error;
    using Results = typename Asio::Tcp::resolver::results_type;
    using Endpoint = typename Asio::Tcp::endpoint;
    // As a name service in the same data centre.
    static constexpr Duration lookup_time = std::chrono::milliseconds{1};

public:
    explicit AsioSimLookUps(sim::Host& host) noexcept : host_{host} {}

    /// `free_at`: when the look-ups of the context that hang have ended. As asio's one thread, they
    /// delay all others.
    void look_up(std::string host, std::string service, AsioSimOp<Error, Results> op,
                 Instant& free_at) {
        const std::uint64_t id = op.id;
        waits_.add(std::move(op));
        const bool hangs = sim::detail::name_hangs(sim::detail::Kernel::fabric(host_), host);
        const Instant begins = larger(host_.now(), free_at);
        const Instant ends = after(begins, hangs ? sim::detail::hang_time : lookup_time);
        if (hangs) free_at = ends;
        host_.at(ends, [weak = this->weak_from_this(), id, hangs, name = std::move(host),
                        port = std::move(service)] {
            if (const auto self = weak.lock()) self->answer(id, hangs, name, port);
        });
    }
    void cancel() { waits_.complete_all(Asio::aborted(), Results{}); }
    void cancel(std::uint64_t id) {
        if (auto op = waits_.take(id); op.complete) op.complete(Asio::aborted(), Results{});
    }
    void drop() override { waits_.drop(); }

private:
    void answer(std::uint64_t id, bool hung, const std::string& name, const std::string& service) {
        auto op = waits_.take(id);
        if (!op.complete) return;
        if (hung) return op.complete(Asio::name_unanswered(), Results{});
        std::uint16_t port = 0;
        const char* const end = service.data() + service.size();
        const auto [read_to, error] = std::from_chars(service.data(), end, port);
        if (!service.empty() && (error != std::errc{} || read_to != end)) {
            return op.complete(Asio::service_not_found(), Results{});
        }
        Error not_numeric;
        const auto numeric = Asio::address(name, not_numeric);
        if (!not_numeric) {
            return op.complete(Error{}, Results::create(Endpoint{numeric, port}, name, service));
        }
        // A real one opens a file or a socket to find a name.
        const auto address = sim::detail::Kernel::lacks_descriptors(host_)
                                 ? std::nullopt
                                 : sim::detail::Socket::look_up(host_, name);
        if (!address) return op.complete(Asio::host_not_found(), Results{});
        op.complete(Error{}, Results::create(Endpoint{Asio::v4(*address), port}, name, service));
    }

    sim::Host& host_;
    AsioSimWaits<Error, Results> waits_;
};

/// A resolver of the world's names, with the asynchronous interface of asio::ip::tcp::resolver.
///
/// It resolves the names of hosts, "localhost" and numeric addresses, and answers after 1 ms, also
/// in a partition, unless a look-up of this context hangs. A service is a port number.
///
/// Thread safety: the world's thread.
template <class Asio, class Executor = typename Asio::Executor>
class AsioSimResolver {
    using Error = typename Asio::Error;
    using LookUps = AsioSimLookUps<Asio>;

public:
    using executor_type = Executor;
    template <class Other>
    struct rebind_executor {
        using other = AsioSimResolver<Asio, Other>;
    };
    using protocol_type = typename Asio::Tcp;
    using endpoint_type = typename Asio::Tcp::endpoint;
    using results_type = typename Asio::Tcp::resolver::results_type;

    explicit AsioSimResolver(executor_type executor)
        : executor_{std::move(executor)},
          core_{asio_sim_core<Asio>(executor_)},
          lookups_{std::make_shared<LookUps>(core_->host())} {
        core_->add(lookups_);
    }
    explicit AsioSimResolver(AsioSimContext<Asio>& context)
        : AsioSimResolver{executor_type{context.get_executor()}} {}
    AsioSimResolver(AsioSimResolver&&) noexcept = default;
    template <AsioSimRebinds<Executor> Other>
    AsioSimResolver(AsioSimResolver<Asio, Other>&& other)
        : executor_{other.executor_}, core_{other.core_}, lookups_{std::move(other.lookups_)} {}
    AsioSimResolver& operator=(AsioSimResolver&&) = delete;
    ~AsioSimResolver() {
        if (lookups_) lookups_->cancel();
    }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    void cancel() { lookups_->cancel(); }

    template <class Token = typename Asio::template DefaultToken<Executor>>
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as asio's
    auto async_resolve(std::string_view host, std::string_view service, Token&& token = Token{}) {
        return Asio::template initiate<void(Error, results_type), Token>(
            [this, name = std::string{host}, port = std::string{service}](auto&& handler) {
                lookups_->look_up(name, port,
                                  make_asio_sim_op<Asio, Error, results_type>(
                                      std::forward<decltype(handler)>(handler), executor_, *core_,
                                      std::weak_ptr<LookUps>{lookups_}),
                                  core_->look_ups_free_at);
            },
            token);
    }

private:
    template <class, class>
    friend class AsioSimResolver;

    executor_type executor_;
    std::shared_ptr<AsioSimCore> core_;
    std::shared_ptr<LookUps> lookups_;
};

}}}  // namespace belay::detail
