// SPDX-License-Identifier: MIT
/// \file belay/asio_sim/detail/acceptor.hpp
/// AsioSimAcceptor: a listening socket of a simulated host, with the interface of asio's.
#pragma once

#include <chrono>       // std::chrono::milliseconds
#include <memory>       // std::shared_ptr
#include <type_traits>  // std::remove_reference_t
#include <utility>      // std::move, std::exchange

#include <belay/asio_sim/detail/socket.hpp>
#include <belay/asio_sim/detail/timer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The pending operations of one listening socket.
template <class Asio>
class AsioSimListening final : public AsioSimObject,
                               public std::enable_shared_from_this<AsioSimListening<Asio>> {
    using Error = typename Asio::Error;
    using Accepted = Ref<sim::detail::Channel>;

public:
    using Op = AsioSimOp<Error, Accepted>;

    explicit AsioSimListening(std::shared_ptr<AsioSimCore> core)
        : core_{std::move(core)}, kernel_{core_->host()} {}
    [[nodiscard]] std::errc listen(bool only_local) {
        return kernel_.listen(only_local, [this] { touch(); });
    }
    void accept(Op op) {
        if (!kernel_.listening()) {
            return op.complete(Asio::error_of(std::errc::invalid_argument), Accepted{});
        }
        waits_.add(std::move(op));
        settle();
    }
    /// Completes when accept() would have a connection, or does not wait. A listening socket is
    /// never writable, and has no error.
    void wait(AsioSimOp<Error> op, bool reads) {
        if (!kernel_.listening()) return op.complete(Error{});
        (reads ? readers_ : others_).add(std::move(op));
        settle();
    }
    void cancel() {
        waits_.complete_all(Asio::aborted(), Accepted{});
        readers_.complete_all(Asio::aborted());
        others_.complete_all(Asio::aborted());
    }
    void cancel(std::uint64_t id) {
        if (auto op = waits_.take(id); op.complete) op.complete(Asio::aborted(), Accepted{});
        for (auto* const waits : {&readers_, &others_}) {
            if (auto op = waits->take(id); op.complete) op.complete(Asio::aborted());
        }
    }
    void close() {
        cancel();
        kernel_.close();
    }
    void drop() override {
        waits_.drop();
        readers_.drop();
        others_.drop();
    }
    [[nodiscard]] sim::detail::ListeningSocket& kernel() noexcept { return kernel_; }

private:
    /// The process accepts in an event of its own, and not while it is frozen.
    void touch() {
        if (std::exchange(touched_, true)) return;
        core_->post([weak = this->weak_from_this()] {
            if (const auto self = weak.lock()) self->settle();
        });
    }
    void settle() {
        touched_ = false;
        if (kernel_.has_waiting()) readers_.complete_all(Error{});
        while (!waits_.empty()) {
            if (core_->lacks_descriptors()) return fail_soon();
            Accepted next = kernel_.accept();
            if (!next) return;
            auto op = waits_.pop();
            op.complete(Error{}, std::move(next));
        }
    }

    /// Completes what waits with an error, after 1 ms. A program that accepts again at once is busy
    /// then, as on a real computer, but time passes. The connections stay in the kernel.
    void fail_soon() {
        if (std::exchange(fails_, true)) return;
        core_->host().after(std::chrono::milliseconds{1}, [weak = this->weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            self->fails_ = false;
            if (!self->core_->lacks_descriptors()) return self->settle();
            self->waits_.complete_all(Asio::error_of(std::errc::too_many_files_open), Accepted{});
        });
    }

    const std::shared_ptr<AsioSimCore> core_;
    sim::detail::ListeningSocket kernel_;
    AsioSimWaits<Error, Accepted> waits_;
    AsioSimWaits<Error> readers_;
    AsioSimWaits<Error> others_;
    bool touched_ = false;
    bool fails_ = false;
};

/// A listening socket of a simulated host, with the asynchronous interface of
/// asio::ip::tcp::acceptor.
///
/// It listens on all addresses of its host, or on the loopback address alone. The kernel completes
/// at most 128 connections that the process has not accepted.
///
/// Thread safety: the world's thread.
template <class Asio, class Executor = typename Asio::Executor>
class AsioSimAcceptor : public Asio::SocketBase {
    using Error = typename Asio::Error;
    using Tcp = typename Asio::Tcp;
    using Base = typename Asio::SocketBase;
    using Listening = AsioSimListening<Asio>;
    using Accepted = Ref<sim::detail::Channel>;

public:
    using executor_type = Executor;
    template <class Other>
    struct rebind_executor {
        using other = AsioSimAcceptor<Asio, Other>;
    };
    using protocol_type = Tcp;
    using typename Base::wait_type;
    using endpoint_type = typename Tcp::endpoint;
    using typename Base::reuse_address;

    explicit AsioSimAcceptor(executor_type executor)
        : executor_{std::move(executor)}, core_{asio_sim_core<Asio>(executor_)} {}
    explicit AsioSimAcceptor(AsioSimContext<Asio>& context)
        : AsioSimAcceptor{executor_type{context.get_executor()}} {}
    /// Opens, binds and listens; sets reuse_address before, as asio does.   Throws: the
    /// system_error of asio, for a port in use and an address of another host.
    AsioSimAcceptor(executor_type executor, const endpoint_type& at, bool reuse = true)
        : AsioSimAcceptor{std::move(executor)} {
        open(at.protocol());
        set_option(reuse_address{reuse});
        bind(at);
        listen();
    }
    AsioSimAcceptor(AsioSimContext<Asio>& context, const endpoint_type& at, bool reuse = true)
        : AsioSimAcceptor{executor_type{context.get_executor()}, at, reuse} {}
    AsioSimAcceptor(AsioSimAcceptor&&) noexcept = default;
    template <AsioSimRebinds<Executor> Other>
    AsioSimAcceptor(AsioSimAcceptor<Asio, Other>&& other)
        : executor_{other.executor_},
          core_{other.core_},
          listening_{std::move(other.listening_)},
          only_local_{other.only_local_} {}
    AsioSimAcceptor& operator=(AsioSimAcceptor&&) = delete;
    ~AsioSimAcceptor() { close(); }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    [[nodiscard]] bool is_open() const noexcept { return listening_ != nullptr; }

    void open(const protocol_type& protocol) {
        Error error;
        check(open(protocol, error), "open");
    }
    Error open(const protocol_type&, Error& error) {
        if (listening_) return error = Asio::already_open();
        if (core_->lacks_descriptors()) {
            return error = Asio::error_of(std::errc::too_many_files_open);
        }
        listening_ = std::make_shared<Listening>(core_);
        core_->add(listening_);
        return error = {};
    }
    void set_option(const reuse_address& option) {
        Error error;
        check(set_option(option, error), "set_option");
    }
    Error set_option(const reuse_address& option, Error& error) {
        if (listening_) listening_->kernel().reuse_address(option.value());
        return error = closed_error();
    }
    void get_option(reuse_address& option) const {
        Error error;
        check(get_option(option, error), "get_option");
    }
    Error get_option(reuse_address& option, Error& error) const {
        if (listening_) option = listening_->kernel().reuses_address();
        return error = closed_error();
    }
    void bind(const endpoint_type& at) {
        Error error;
        check(bind(at, error), "bind");
    }
    Error bind(const endpoint_type& at, Error& error) {
        if (!listening_) return error = closed_error();
        const auto address = AsioSimStream<Asio>::address_of(at);
        const auto own = sim::detail::Socket::look_up(core_->host(), core_->host().name());
        const bool any = at.address().is_unspecified();
        only_local_ = at.address().is_loopback();
        if (!any && !only_local_ && address != own) {
            return error = Asio::error_of(std::errc::address_not_available);
        }
        return error = Asio::error_of(listening_->kernel().bind(at.port()));
    }
    void listen(int backlog = 128) {
        Error error;
        check(listen(backlog, error), "listen");
    }
    /// A kernel limits the backlog. This one has space for 128 connections, and ignores the
    /// argument.
    Error listen(int, Error& error) {
        if (!listening_) return error = closed_error();
        return error = Asio::error_of(listening_->listen(only_local_));
    }
    void close() noexcept {
        if (const auto listening = std::exchange(listening_, nullptr)) listening->close();
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
        if (listening_) listening_->cancel();
        return error = closed_error();
    }
    [[nodiscard]] endpoint_type local_endpoint() const {
        check(closed_error(), "local_endpoint");
        return {only_local_ ? Asio::v4(sim::detail::loopback_address) : Asio::v4(0),
                listening_->kernel().port()};
    }

    /// Waits until a connection can be accepted.
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_wait(wait_type what, Token&& token = Token{}) {
        return Asio::template initiate<void(Error), Token>(
            [this, what](auto&& handler) {
                auto op = this->op<Error>(std::forward<decltype(handler)>(handler));
                if (!listening_) return op.complete(closed_error());
                listening_->wait(std::move(op), what == Base::wait_read);
            },
            token);
    }
    /// Accepts a connection: `token` receives an error and a socket, which has the executor of the
    /// acceptor, another one, or that of a context. `from` receives the endpoint of the peer.
    template <class Token = typename Asio::template DefaultToken<Executor>>
        requires(!AsioSimExecutorLike<Token, Asio>)
    auto async_accept(Token&& token = Token{}) {
        return accept_new<Token>(executor_, nullptr, token);
    }
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(endpoint_type& from, Token&& token = Token{}) {
        return accept_new<Token>(executor_, &from, token);
    }
    template <AsioSimExecutorLike<Asio> Other,
              class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(const Other& executor, Token&& token = Token{}) {
        return accept_new<Token>(executor, nullptr, token);
    }
    template <AsioSimExecutorLike<Asio> Other,
              class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(const Other& executor, endpoint_type& from, Token&& token = Token{}) {
        return accept_new<Token>(executor, &from, token);
    }
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(AsioSimContext<Asio>& context, Token&& token = Token{}) {
        return accept_new<Token>(context.get_executor(), nullptr, token);
    }
    template <class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(AsioSimContext<Asio>& context, endpoint_type& from, Token&& token = Token{}) {
        return accept_new<Token>(context.get_executor(), &from, token);
    }
    /// Accepts a connection into a socket that is closed.
    template <class Other, class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(AsioSimSocket<Asio, Other>& peer, Token&& token = Token{}) {
        return accept_into<Token>(peer, nullptr, token);
    }
    template <class Other, class Token = typename Asio::template DefaultToken<Executor>>
    auto async_accept(AsioSimSocket<Asio, Other>& peer, endpoint_type& from,
                      Token&& token = Token{}) {
        return accept_into<Token>(peer, &from, token);
    }

private:
    template <class, class>
    friend class AsioSimAcceptor;

    template <class... A, class Handler>
    [[nodiscard]] AsioSimOp<A...> op(Handler&& handler) {
        return make_asio_sim_op<Asio, A...>(std::forward<Handler>(handler), executor_, *core_,
                                            std::weak_ptr<Listening>{listening_});
    }
    /// Gives a socket its connection, and `from` the endpoint of the peer, if it is not null.
    template <class Socket>
    static void take(Socket& socket, Accepted connection, endpoint_type* from) {
        if (!connection) return;
        socket.adopt(std::move(connection));
        Error ignored;
        if (from != nullptr) *from = socket.remote_endpoint(ignored);
    }
    template <class Token, class Other>
    auto accept_new(const Other& executor, endpoint_type* from,
                    std::remove_reference_t<Token>& token) {
        using Socket = AsioSimSocket<Asio, Other>;
        return Asio::template initiate<void(Error, Socket), Token>(
            [this, executor, from](auto&& handler) {
                auto op = this->op<Error, Socket>(std::forward<decltype(handler)>(handler));
                begin({[op = std::move(op), executor, from](Error e, Accepted c) mutable {
                           Socket socket{executor};
                           take(socket, std::move(c), from);
                           op.complete(e, std::move(socket));
                       },
                       op.id});
            },
            token);
    }
    template <class Token, class Socket>
    auto accept_into(Socket& peer, endpoint_type* from, std::remove_reference_t<Token>& token) {
        return Asio::template initiate<void(Error), Token>(
            [this, &peer, from](auto&& handler) {
                auto op = this->op<Error>(std::forward<decltype(handler)>(handler));
                if (peer.is_open()) return op.complete(Asio::already_open());
                begin({[op = std::move(op), &peer, from](Error e, Accepted c) mutable {
                           take(peer, std::move(c), from);
                           op.complete(e);
                       },
                       op.id});
            },
            token);
    }
    void begin(typename Listening::Op op) {
        if (!listening_) return op.complete(closed_error(), Accepted{});
        listening_->accept(std::move(op));
    }
    static void check(const Error& error, const char* what) {
        if (error) Asio::raise(error, what);
    }
    [[nodiscard]] Error closed_error() const noexcept {
        return listening_ ? Error{} : Asio::error_of(std::errc::bad_file_descriptor);
    }

    executor_type executor_;
    std::shared_ptr<AsioSimCore> core_;
    std::shared_ptr<Listening> listening_;  // null: closed
    bool only_local_ = false;
};

}}}  // namespace belay::detail
