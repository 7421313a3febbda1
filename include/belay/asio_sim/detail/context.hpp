// SPDX-License-Identifier: MIT
/// \file belay/asio_sim/detail/context.hpp
/// AsioSimContext, AsioSimExecutor: an execution context of asio that a simulated host runs.
#pragma once

#include <algorithm>  // std::max
#include <concepts>   // std::convertible_to, std::same_as
#include <cstdint>    // std::uint64_t
#include <deque>      // std::deque
#include <list>       // std::list
#include <memory>     // std::shared_ptr, std::enable_shared_from_this
#include <stdexcept>  // std::logic_error
#include <string>     // std::string
#include <utility>    // std::move, std::forward

#include <belay/asio/detail/asio_of.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An object with pending operations. Their handlers may own the coroutine that owns the object, so
/// the context destroys them at its end.
class AsioSimObject {
public:
    /// Destroys the handlers, without a call.
    virtual void drop() = 0;

protected:
    ~AsioSimObject() = default;
};

/// The functions that wait to run on a host, and the objects of a context.
///
/// Thread safety: the world's thread.
class AsioSimCore : public std::enable_shared_from_this<AsioSimCore> {
public:
    /// Looks for I/O objects of asio that were made for the context: `any()` returns whether there
    /// are some, and `used()` the kind of one in use, or null.
    struct Foreign {
        Function<bool()> any;
        Function<const char*()> used;
    };

    AsioSimCore(sim::Host& host, Foreign foreign) noexcept
        : host_{host}, foreign_{std::move(foreign)} {
        last_ = this;
    }
    ~AsioSimCore() { forget(); }
    AsioSimCore(const AsioSimCore&) = delete;
    AsioSimCore& operator=(const AsioSimCore&) = delete;

    /// Runs `f` as an event of its own; never after the end.
    void post(Function<void()> f) {
        BELAY_OPTION(
            thread_ == this_thread(),
            "sim::AsioNet: another thread, such as that of a thread_pool, must not post to "
            "a simulated context");
        if (over_ || !host_.alive()) return;
        ready_.push_back(std::move(f));
        static_cast<void>(host_.post([self = shared_from_this()] { self->run_next(); }));
    }
    /// An operation begins. If it may be one of a foreign object, the next event looks.
    void begin_operation() {
        if (!over_ && !is_running_ && foreign_.any()) post([] {});
    }
    /// Destroys all functions and handlers.
    void end() {
        over_ = true;
        forget();
        // Destructors may post, which does nothing, and destroy other objects.
        while (!ready_.empty()) {
            const Function<void()> last = std::move(ready_.back());
            ready_.pop_back();
        }
        while (!objects_.empty()) {
            const std::shared_ptr<AsioSimObject> object = objects_.front().lock();
            objects_.pop_front();
            if (object) object->drop();
        }
    }
    void add(std::weak_ptr<AsioSimObject> object) {
        if (objects_.size() >= sweep_at_) {
            objects_.remove_if([](const auto& o) { return o.expired(); });
            sweep_at_ = std::max(sweep_min, 2 * objects_.size());
        }
        objects_.push_back(std::move(object));
    }
    [[nodiscard]] sim::Host& host() const noexcept { return host_; }
    [[nodiscard]] bool lacks_descriptors() const noexcept {
        return sim::detail::Kernel::lacks_descriptors(host_);
    }
    [[nodiscard]] std::uint64_t next_id() noexcept { return ++last_id_; }

    /// Returns the time of the world whose context ran a handler last in this thread, or was made
    /// last.
    [[nodiscard]] static Instant now() noexcept {
        BELAY_OPTION(last_ != nullptr,
                     "sim::AsioNet: steady_timer::clock_type::now() must be called in a process "
                     "that has an io_context of sim::AsioNet");
        return last_->host_.now();
    }

    Instant look_ups_free_at = always;  ///< when no look-up hangs any more

private:
    static constexpr std::size_t sweep_min = 32;

    void run_next() {
        if (over_ || ready_.empty()) return;
        last_ = this;
        thread_ = this_thread();
        Function<void()> f = std::move(ready_.front());
        ready_.pop_front();
        const belay::detail::FlagScope running{is_running_};
        f();
        const char* const used = over_ ? nullptr : foreign_.used();
        if (used == nullptr) return;
        throw std::logic_error{
            "sim::AsioNet on \"" + std::string{host_.name()} + "\": " + used +
            " of asio itself was made for a simulated context, and would wait in "
            "real time; use the type of sim::AsioNet"};
    }

    void forget() noexcept {
        if (last_ == this) last_ = nullptr;
    }

    static inline thread_local constinit AsioSimCore* last_ = nullptr;

    sim::Host& host_;
    const void* thread_ = this_thread();  // that runs the world
    Foreign foreign_;
    std::deque<Function<void()>> ready_;
    std::list<std::weak_ptr<AsioSimObject>> objects_;
    std::size_t sweep_at_ = sweep_min;
    std::uint64_t last_id_ = 0;
    bool over_ = false;
    bool is_running_ = false;
};

/// Registers the core in its context, so that it is found by any executor of the context.
template <class Asio>
class AsioSimService : public Asio::ExecutionContext::service {
    using Base = typename Asio::ExecutionContext::service;

public:
    using key_type = AsioSimService;
    inline static typename Asio::ExecutionContext::id id{};

    AsioSimService(typename Asio::ExecutionContext& owner, std::shared_ptr<AsioSimCore> shared)
        : Base{owner}, core{std::move(shared)} {}
    /// Not used: a context of another kind has no such service.
    explicit AsioSimService(typename Asio::ExecutionContext& owner) : Base{owner} {}

    std::shared_ptr<AsioSimCore> core;

private:
    void shutdown() override {
        if (core) core->end();
    }
};

template <class Asio>
class AsioSimExecutor;

/// Runs asio's handlers as events of a simulated host, in place of an io_context.
///
/// Make it in the process of a host, as the first member. Its destructor destroys all handlers that
/// wait, without a call. Handlers run while the world runs: there is no run().
///
/// Thread safety: the world's thread.
template <class Asio>
class AsioSimContext : public Asio::ExecutionContext {
public:
    using executor_type = AsioSimExecutor<Asio>;

    explicit AsioSimContext(sim::Host& host)
        : core_{std::make_shared<AsioSimCore>(
              host, AsioSimCore::Foreign{[this] { return Asio::has_io_objects(*this); },
                                         [this] { return Asio::used_io_object(*this); }})} {
        Asio::add_idle_scheduler(*this);
        make_service<AsioSimService<Asio>>(*this, core_);
    }
    ~AsioSimContext() {
        this->shutdown();
        this->destroy();
    }
    [[nodiscard]] executor_type get_executor() noexcept { return executor_type{*this}; }
    [[nodiscard]] sim::Host& host() const noexcept { return core_->host(); }

private:
    friend class AsioSimExecutor<Asio>;
    std::shared_ptr<AsioSimCore> core_;
};

/// The executor of an AsioSimContext. No handler runs inside the call that submits it.
template <class Asio>
class AsioSimExecutor {
    using Blocking = typename Asio::Blocking;

public:
    explicit AsioSimExecutor(AsioSimContext<Asio>& context) noexcept : context_{&context} {}

    [[nodiscard]] typename Asio::ExecutionContext& query(
        typename Asio::ContextProperty) const noexcept {
        return *context_;
    }
    [[nodiscard]] static constexpr Blocking query(Blocking) noexcept {
        return Blocking{typename Blocking::never_t{}};
    }
    [[nodiscard]] AsioSimExecutor require(typename Blocking::never_t) const noexcept {
        return *this;
    }
    /// Asked for by an operation that begins.
    [[nodiscard]] AsioSimExecutor require(typename Asio::Tracked) const noexcept {
        context_->core_->begin_operation();
        return *this;
    }
    template <class F>
    void execute(F&& f) const {
        context_->core_->post(
            [g = std::decay_t<F>(std::forward<F>(f))]() mutable { std::move(g)(); });
    }
    [[nodiscard]] AsioSimContext<Asio>& context() const noexcept { return *context_; }

    friend bool operator==(const AsioSimExecutor&, const AsioSimExecutor&) noexcept = default;

private:
    AsioSimContext<Asio>* context_;
};

/// Returns the core of an executor, also of a strand.
template <class Asio>
[[nodiscard]] std::shared_ptr<AsioSimCore> asio_sim_core(const typename Asio::Executor& executor) {
    typename Asio::ExecutionContext& context = Asio::context_of(executor);
    const bool is_simulated = has_service<AsioSimService<Asio>>(context);
    BELAY_PRECONDITION(
        is_simulated,
        "sim::AsioNet: the executor must be that of a sim::AsioNet<...>::io_context, "
        "and not that of a real io_context");
    return use_service<AsioSimService<Asio>>(context).core;
}

/// An executor with another default token (rebind_executor), or the same.
template <class From, class To>
concept AsioSimRebinds = !std::same_as<From, To> && std::convertible_to<From, To>;

/// An executor that asio's own type of any executor takes, such as a strand.
template <class E, class Asio>
concept AsioSimExecutorLike = std::convertible_to<const E&, typename Asio::Executor>;

/// A pending operation: how to complete it, and the number by which it is cancelled.
template <class... A>
struct AsioSimOp {
    Function<void(A...)> complete;
    std::uint64_t id = 0;
};

/// Makes an operation of a handler, which is posted to its associated executor.
template <class Asio, class... A, class Handler, class Object>
[[nodiscard]] AsioSimOp<A...> make_asio_sim_op(Handler&& handler,
                                               const typename Asio::Executor& executor,
                                               AsioSimCore& core, std::weak_ptr<Object> object) {
    const std::uint64_t id = core.next_id();
    Asio::on_cancel(handler, [object = std::move(object), id] {
        if (const auto alive = object.lock()) alive->cancel(id);
    });
    auto runs_on = Asio::executor_of(handler, executor);
    return {[runs_on = std::move(runs_on),
             h = std::decay_t<Handler>(std::forward<Handler>(handler))](A... a) mutable {
                Asio::post_on(runs_on, [h = std::move(h), ... results = std::move(a)]() mutable {
                    std::move(h)(std::move(results)...);
                });
            },
            id};
}

}}}  // namespace belay::detail
