// SPDX-License-Identifier: MIT
/// \file belay/asio_sim/detail/socket.hpp
/// AsioSimSocket: a stream socket of a simulated host, with the interface of asio's.
#pragma once

#include <algorithm>  // std::find_if
#include <deque>      // std::deque
#include <memory>     // std::shared_ptr
#include <utility>    // std::move, std::exchange
#include <vector>     // std::vector

#include <belay/asio_sim/detail/context.hpp>
#include <belay/sim/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The pending operations of one socket.
template <class Asio>
class AsioSimStream final : public AsioSimObject,
                            public std::enable_shared_from_this<AsioSimStream<Asio>> {
    using Error = typename Asio::Error;
    using Endpoint = typename Asio::Tcp::endpoint;
    using Io = sim::detail::IoResult;

public:
    using Kernel = sim::detail::Socket;
    /// Tries to move bytes.
    using Attempt = Function<Io(Kernel&)>;

    explicit AsioSimStream(std::shared_ptr<AsioSimCore> core)
        : core_{std::move(core)}, kernel_{core_->host(), [this] { touch(); }} {}
    [[nodiscard]] static std::shared_ptr<AsioSimStream> make(std::shared_ptr<AsioSimCore> core) {
        auto made = std::make_shared<AsioSimStream>(std::move(core));
        made->core_->add(made);
        return made;
    }
    [[nodiscard]] Kernel& kernel() noexcept { return kernel_; }
    [[nodiscard]] AsioSimCore& core() noexcept { return *core_; }

    void connect(const Endpoint& to, AsioSimOp<Error> op) {
        std::errc error = std::errc::network_unreachable;
        if (const auto address = address_of(to)) error = kernel_.connect(*address, to.port());
        if (error != std::errc{}) return op.complete(Asio::error_of(error));
        connect_ = std::move(op);
    }
    void read(Attempt attempt, AsioSimOp<Error, std::size_t> op) {
        reads_.push_back({std::move(attempt), std::move(op)});
        if (reads_.size() == 1 && !is_exhausted_) run(reads_, true);
    }
    void write(Attempt attempt, AsioSimOp<Error, std::size_t> op) {
        writes_.push_back({std::move(attempt), std::move(op)});
        if (writes_.size() == 1) run(writes_, false);
    }
    /// Completes when the socket is ready; among reads and writes, in their order.
    void wait(typename Asio::SocketBase::wait_type what, AsioSimOp<Error> op) {
        using Base = typename Asio::SocketBase;
        const std::uint64_t id = op.id;
        AsioSimOp<Error, std::size_t> as_transfer{
            [op = std::move(op)](Error e, std::size_t) mutable { op.complete(e); }, id};
        const auto ready = [what](Kernel& kernel) {
            const sim::detail::Readiness r = kernel.readiness();
            const bool is_ready = what == Base::wait_read    ? r.readable
                                  : what == Base::wait_write ? r.writable
                                                             : r.error || r.hung_up;
            return is_ready ? Io{1, {}} : Io{0, std::errc::resource_unavailable_try_again};
        };
        if (what == Base::wait_read) return read(ready, std::move(as_transfer));
        if (what == Base::wait_write) return write(ready, std::move(as_transfer));
        errors_.push_back({ready, std::move(as_transfer)});
        run(errors_, false);
    }
    /// Completes all operations with operation_aborted.
    void cancel() {
        if (connect_.complete) std::exchange(connect_, {}).complete(Asio::aborted());
        for (auto* const queue : {&reads_, &writes_, &errors_}) {
            for (Transfer& t : std::exchange(*queue, {})) t.op.complete(Asio::aborted(), 0);
        }
    }
    /// Completes one operation with operation_aborted.
    void cancel(std::uint64_t id) {
        if (connect_.complete && connect_.id == id) {
            return std::exchange(connect_, {}).complete(Asio::aborted());
        }
        for (auto* const queue : {&reads_, &writes_, &errors_}) {
            const auto at = std::find_if(queue->begin(), queue->end(),
                                         [&](const Transfer& t) { return t.op.id == id; });
            if (at == queue->end()) continue;
            auto op = std::move(at->op);
            queue->erase(at);
            return op.complete(Asio::aborted(), 0);
        }
    }
    void drop() override {
        const auto connect = std::exchange(connect_, {});
        const auto reads = std::exchange(reads_, {});
        const auto writes = std::exchange(writes_, {});
        const auto errors = std::exchange(errors_, {});
    }
    /// Returns the address of an endpoint that a host can have.
    [[nodiscard]] static std::optional<sim::detail::Address> address_of(const Endpoint& at) {
        const auto address = at.address();
        if (address.is_v4()) return static_cast<sim::detail::Address>(address.to_v4().to_uint());
        if (address.is_loopback() || address.is_unspecified()) return sim::detail::loopback_address;
        return std::nullopt;
    }

private:
    struct Transfer {
        Attempt attempt;
        AsioSimOp<Error, std::size_t> op;
    };

    /// The process looks at the socket in an event of its own, and not while it is frozen.
    void touch() {
        if (std::exchange(touched_, true)) return;
        core_->post([weak = this->weak_from_this()] {
            if (const auto self = weak.lock()) self->settle();
        });
    }
    void settle() {
        touched_ = is_exhausted_ = false;
        if (connect_.complete) {
            if (const auto end = kernel_.finish_connect()) {
                std::exchange(connect_, {}).complete(Asio::error_of(*end));
            }
        }
        run(reads_, true);
        run(writes_, false);
        run(errors_, false);
    }
    void run(std::deque<Transfer>& queue, bool reads) {
        while (!queue.empty() && !(reads && is_exhausted_)) {
            const Io result = queue.front().attempt(kernel_);
            if (result.would_block()) return;
            auto op = std::move(queue.front().op);
            queue.pop_front();
            const bool over = reads && result.bytes == 0 && result.error == std::errc{};
            // asio waits for epoll after that, which reports an end only once: a second read does
            // not complete before something else happens.
            if (reads && result.bytes == 0) is_exhausted_ = true;
            op.complete(over ? Asio::end_of_stream() : Asio::error_of(result.error), result.bytes);
        }
    }

    const std::shared_ptr<AsioSimCore> core_;
    Kernel kernel_;
    AsioSimOp<Error> connect_;
    std::deque<Transfer> reads_;
    std::deque<Transfer> writes_;
    std::deque<Transfer> errors_;  // waits for an error
    bool touched_ = false;
    bool is_exhausted_ = false;  // a read has reported the end, and nothing has happened since
};

/// Connects to one endpoint of several after the other, as asio::async_connect does.
template <class Asio>
class AsioSimRange : public std::enable_shared_from_this<AsioSimRange<Asio>> {
    using Error = typename Asio::Error;
    using Endpoint = typename Asio::Tcp::endpoint;
    using Stream = AsioSimStream<Asio>;

public:
    AsioSimRange(std::shared_ptr<Stream> stream, std::vector<Endpoint> endpoints,
                 AsioSimOp<Error, Endpoint> op)
        : stream_{std::move(stream)}, endpoints_{std::move(endpoints)}, op_{std::move(op)} {}

    void begin() { next(Asio::no_endpoint()); }

private:
    void next(const Error& last) {
        const auto stream = stream_.lock();
        if (!stream || at_ == endpoints_.size()) return op_.complete(last, Endpoint{});
        const Endpoint to = endpoints_[at_++];
        stream->cancel();
        stream->kernel().close();
        if (stream->core().lacks_descriptors()) {  // each endpoint gets a socket of its own
            return next(Asio::error_of(std::errc::too_many_files_open));
        }
        stream->connect(to, {[self = this->shared_from_this(), to](Error e) {
                                 if (!e) return self->op_.complete(e, to);
                                 if (e == Asio::aborted()) return self->op_.complete(e, Endpoint{});
                                 self->next(e);
                             },
                             op_.id});
    }

    const std::weak_ptr<Stream> stream_;
    const std::vector<Endpoint> endpoints_;
    AsioSimOp<Error, Endpoint> op_;
    std::size_t at_ = 0;
};

/// A TCP socket of a simulated host, with the asynchronous interface of asio::ip::tcp::socket.
///
/// It has no functions that block, and no options except no_delay, keep_alive, linger and the sizes
/// of buffers. It neither copies nor shares: asio's own algorithms (async_read,
/// async_read_until, async_write) run over it. Like asio's socket it may be destroyed while
/// operations are pending, which then complete with operation_aborted.
///
/// Thread safety: the world's thread.
template <class Asio, class Executor = typename Asio::Executor>
class AsioSimSocket : public Asio::SocketBase {
    using Error = typename Asio::Error;
    using Tcp = typename Asio::Tcp;
    using Stream = AsioSimStream<Asio>;
    using Base = typename Asio::SocketBase;

public:
    using executor_type = Executor;
    template <class Other>
    struct rebind_executor {
        using other = AsioSimSocket<Asio, Other>;
    };
    using lowest_layer_type = AsioSimSocket;
    using protocol_type = Tcp;
    using endpoint_type = typename Tcp::endpoint;
    using typename Base::shutdown_type;
    using typename Base::wait_type;

    explicit AsioSimSocket(executor_type executor)
        : executor_{std::move(executor)}, core_{asio_sim_core<Asio>(executor_)} {}
    explicit AsioSimSocket(AsioSimContext<Asio>& context)
        : AsioSimSocket{executor_type{context.get_executor()}} {}
    AsioSimSocket(AsioSimSocket&&) noexcept = default;
    template <AsioSimRebinds<Executor> Other>
    AsioSimSocket(AsioSimSocket<Asio, Other>&& other)
        : executor_{other.executor_}, core_{other.core_}, stream_{std::move(other.stream_)} {}
    AsioSimSocket& operator=(AsioSimSocket&& other) {
        if (this == &other) return *this;
        close();
        executor_ = other.executor_;
        core_ = other.core_;
        stream_ = std::move(other.stream_);
        return *this;
    }
    ~AsioSimSocket() { close(); }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    [[nodiscard]] lowest_layer_type& lowest_layer() noexcept { return *this; }
    [[nodiscard]] const lowest_layer_type& lowest_layer() const noexcept { return *this; }
    [[nodiscard]] bool is_open() const noexcept { return stream_ != nullptr; }

    void open(const protocol_type&) { check(open_as(), "open"); }
    Error open(const protocol_type&, Error& error) { return error = open_as(); }
    /// Checks the address. The kernel chooses the port when the socket connects: another one than 0
    /// is not simulated.
    void bind(const endpoint_type& at) {
        Error error;
        check(bind(at, error), "bind");
    }
    Error bind(const endpoint_type& at, Error& error) {
        if (!stream_) return error = closed_error();
        const auto own = sim::detail::Socket::look_up(core_->host(), core_->host().name());
        if (!at.address().is_unspecified() && Stream::address_of(at) != own) {
            return error = Asio::error_of(std::errc::address_not_available);
        }
        return error =
                   at.port() == 0 ? Error{} : Asio::error_of(std::errc::operation_not_supported);
    }
    /// Takes an accepted connection.
    void adopt(Ref<sim::detail::Channel> channel) {
        close();
        stream_ = Stream::make(core_);
        stream_->kernel().adopt(std::move(channel));
    }
    void close() noexcept {
        const auto stream = std::exchange(stream_, nullptr);
        if (!stream) return;
        stream->cancel();
        stream->kernel().close();
    }
    Error close(Error& error) noexcept {
        close();
        return error = {};
    }
    void cancel() {
        Error error;
        check(cancel(error), "cancel");
    }
    Error cancel(Error& error) {
        if (stream_) stream_->cancel();
        return error = closed_error();
    }
    void shutdown(shutdown_type what) {
        Error error;
        check(shutdown(what, error), "shutdown");
    }
    Error shutdown(shutdown_type what, Error& error) {
        if (!stream_) return error = closed_error();
        return error = Asio::error_of(stream_->kernel().shutdown(what != Base::shutdown_send,
                                                                 what != Base::shutdown_receive));
    }
    [[nodiscard]] std::size_t available() const {
        Error error;
        const std::size_t size = available(error);
        check(error, "available");
        return size;
    }
    std::size_t available(Error& error) const {
        error = closed_error();
        return stream_ ? stream_->kernel().available() : 0;
    }
    template <class Option>
    void set_option(const Option& option) {
        Error error;
        check(set_option(option, error), "set_option");
    }
    /// The world sends each write at once, so that there is nothing to switch.
    Error set_option(const typename Tcp::no_delay&, Error& error) { return error = closed_error(); }
    /// The sizes of buffers have no effect: Network::window_bytes sets the window.
    Error set_option(const typename Base::receive_buffer_size&, Error& error) {
        return error = closed_error();
    }
    Error set_option(const typename Base::send_buffer_size&, Error& error) {
        return error = closed_error();
    }
    /// Its kernel probes a silent peer after 2 h, and then every 75 s, as that of Linux.
    Error set_option(const typename Base::keep_alive& option, Error& error) {
        if (stream_) stream_->kernel().keep_alive({.on = option.value()});
        return error = closed_error();
    }
    /// With a time of 0, close() resets the connection. Other times are not simulated.
    Error set_option(const typename Base::linger& option, Error& error) {
        if (!stream_) return error = closed_error();
        if (option.enabled() && option.timeout() != 0) {
            return error = Asio::error_of(std::errc::operation_not_supported);
        }
        stream_->kernel().reset_at_end(option.enabled());
        return error = {};
    }
    [[nodiscard]] endpoint_type local_endpoint() const {
        Error error;
        const endpoint_type at = local_endpoint(error);
        check(error, "local_endpoint");
        return at;
    }
    endpoint_type local_endpoint(Error& error) const {
        error = closed_error();
        if (!stream_) return {};
        return {Asio::v4(stream_->kernel().address()), stream_->kernel().port()};
    }
    [[nodiscard]] endpoint_type remote_endpoint() const {
        Error error;
        const endpoint_type at = remote_endpoint(error);
        check(error, "remote_endpoint");
        return at;
    }
    endpoint_type remote_endpoint(Error& error) const {
        error = closed_error();
        if (!stream_) return {};
        if (!stream_->kernel().connected()) {
            error = Asio::error_of(std::errc::not_connected);
            return {};
        }
        return {Asio::v4(stream_->kernel().peer_address()), stream_->kernel().peer_port()};
    }

    /// Waits until the socket can be read or written, or has an error.
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_wait(wait_type what, Token&& token = Token{}) {
        return Asio::template initiate<void(Error), Token>(
            [this, what](auto&& handler) {
                auto pending = op<Error>(std::forward<decltype(handler)>(handler));
                if (!stream_) return pending.complete(closed_error());
                stream_->wait(what, std::move(pending));
            },
            token);
    }
    /// Connects, and opens the socket if it is closed.
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_connect(const endpoint_type& to, Token&& token = Token{}) {
        return Asio::template initiate<void(Error), Token>(
            [this, to](auto&& handler) {
                const Error error = stream_ ? Error{} : open_as();
                auto pending = op<Error>(std::forward<decltype(handler)>(handler));
                if (error) return pending.complete(error);
                stream_->connect(to, std::move(pending));
            },
            token);
    }
    template <class Buffers, class Token = typename Asio::template DefaultToken<Executor>>
    auto async_read_some(const Buffers& buffers, Token&& token = Token{}) {
        return Asio::template initiate<void(Error, std::size_t), Token>(
            [this, buffers](auto&& handler) {
                auto pending = op<Error, std::size_t>(std::forward<decltype(handler)>(handler));
                if (!stream_) return pending.complete(closed_error(), 0);
                if (is_empty(buffers)) return pending.complete(Error{}, 0);
                stream_->read([buffers](auto& kernel) { return read_into(kernel, buffers); },
                              std::move(pending));
            },
            token);
    }
    template <class Buffers, class Token = typename Asio::template DefaultToken<Executor>>
    auto async_write_some(const Buffers& buffers, Token&& token = Token{}) {
        return Asio::template initiate<void(Error, std::size_t), Token>(
            [this, buffers](auto&& handler) {
                auto pending = op<Error, std::size_t>(std::forward<decltype(handler)>(handler));
                if (!stream_) return pending.complete(closed_error(), 0);
                if (is_empty(buffers)) return pending.complete(Error{}, 0);
                stream_->write([buffers](auto& kernel) { return write_from(kernel, buffers); },
                               std::move(pending));
            },
            token);
    }
    /// Connects to the first endpoint that accepts; as asio::async_connect, which takes asio's
    /// sockets only. Call it unqualified: the compiler then finds the one that fits.
    template <class Results, class Token = typename Asio::template DefaultToken<Executor>>
    friend auto async_connect(AsioSimSocket& socket, const Results& results,
                              Token&& token = Token{}) {
        std::vector<endpoint_type> endpoints;
        for (const auto& each : results) endpoints.push_back(each);
        return Asio::template initiate<void(Error, endpoint_type), Token>(
            [&socket, endpoints = std::move(endpoints)](auto&& handler) {
                if (!socket.stream_) socket.stream_ = Stream::make(socket.core_);
                std::make_shared<AsioSimRange<Asio>>(socket.stream_, endpoints,
                                                     socket.template op<Error, endpoint_type>(
                                                         std::forward<decltype(handler)>(handler)))
                    ->begin();
            },
            token);
    }

private:
    template <class, class>
    friend class AsioSimSocket;
    using Io = sim::detail::IoResult;
    using Kernel = sim::detail::Socket;

    template <class... A, class Handler>
    [[nodiscard]] AsioSimOp<A...> op(Handler&& handler) {
        return make_asio_sim_op<Asio, A...>(std::forward<Handler>(handler), executor_, *core_,
                                            std::weak_ptr<Stream>{stream_});
    }
    static void check(const Error& error, const char* what) {
        if (error) Asio::raise(error, what);
    }
    [[nodiscard]] Error closed_error() const noexcept {
        return stream_ ? Error{} : Asio::error_of(std::errc::bad_file_descriptor);
    }
    [[nodiscard]] Error open_as() {
        if (stream_) return Asio::already_open();
        if (core_->lacks_descriptors()) return Asio::error_of(std::errc::too_many_files_open);
        stream_ = Stream::make(core_);
        return {};
    }
    template <class Buffers>
    [[nodiscard]] static bool is_empty(const Buffers& buffers) {
        std::size_t size = 0;
        Asio::for_each_buffer(buffers, [&](const auto& b) { size += b.size(); });
        return size == 0;
    }
    /// Moves bytes from or to one buffer after the other.
    template <class Buffers, class Move>
    static Io move_each(const Buffers& buffers, Move&& move) {
        Io all;
        bool goes_on = true;
        Asio::for_each_buffer(buffers, [&](const auto& b) {
            if (!goes_on || b.size() == 0) return;
            const Io one = move(b);
            goes_on = one.bytes == b.size();
            if (all.bytes == 0) all.error = one.error;
            all.bytes += one.bytes;
        });
        if (all.bytes != 0) all.error = {};
        return all;
    }
    template <class Buffers>
    static Io read_into(Kernel& kernel, const Buffers& buffers) {
        bool is_first = true;
        return move_each(buffers, [&](const typename Asio::MutableBuffer& b) {
            // The next call reports an end; this one has data.
            if (!std::exchange(is_first, false) && kernel.available() == 0) return Io{};
            return kernel.read({static_cast<std::byte*>(b.data()), b.size()});
        });
    }
    template <class Buffers>
    static Io write_from(Kernel& kernel, const Buffers& buffers) {
        return move_each(buffers, [&](const typename Asio::ConstBuffer& b) {
            return kernel.write({static_cast<const std::byte*>(b.data()), b.size()});
        });
    }

    executor_type executor_;
    std::shared_ptr<AsioSimCore> core_;
    std::shared_ptr<Stream> stream_;  // null: closed
};

}}}  // namespace belay::detail
