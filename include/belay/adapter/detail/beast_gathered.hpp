// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/beast_gathered.hpp
/// BeastGathered: a layer of a stream below its WebSocket, in which several frames leave as one.
#pragma once

#include <cstddef>      // std::size_t
#include <functional>   // std::function
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket.hpp>

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What is written to it in the blocking way waits here, and leaves in front of what is next
/// written in the other way: whole frames, which Beast writes one after the other, whoever says
/// them.
///
/// A call of the kernel is most of what a small frame costs. Writing here never blocks and never
/// fails. Whoever does it bounds what waits, and lets an asynchronous write follow.
///
/// Thread safety: the thread that runs the context.
template <class Stream>
class BeastGathered {
    using Error = boost::system::error_code;

public:
    using next_layer_type = Stream;
    using executor_type = typename Stream::executor_type;

    template <class... A>
    explicit BeastGathered(A&&... stream) : next_{std::forward<A>(stream)...} {}

    /// Calls `f` when Beast begins to wait for the end of the stream, for which it sets no limit.
    void on_teardown(std::function<void()> f) { on_teardown_ = std::move(f); }
    void tear_down() {
        if (on_teardown_) on_teardown_();
    }

    [[nodiscard]] executor_type get_executor() noexcept { return next_.get_executor(); }
    [[nodiscard]] Stream& next_layer() noexcept { return next_; }
    [[nodiscard]] const Stream& next_layer() const noexcept { return next_; }

    template <class Buffers, class Handler>
    auto async_read_some(const Buffers& buffers, Handler&& handler) {
        return next_.async_read_some(buffers, std::forward<Handler>(handler));
    }
    /// Nobody reads so; Beast wants it.
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers) {
        return next_.read_some(buffers);
    }
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers, Error& error) {
        return next_.read_some(buffers, error);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers) {
        namespace asio = boost::asio;
        const std::size_t size = asio::buffer_size(buffers);
        const std::size_t had = waiting_.size();
        waiting_.resize(had + size);
        return asio::buffer_copy(asio::buffer(waiting_.data() + had, size), buffers);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers, Error& error) {
        error = {};
        return write_some(buffers);
    }
    /// Writes what waits, and then this.
    template <class Buffers, class Handler>
    void async_write_some(const Buffers& buffers, Handler&& handler) {
        namespace asio = boost::asio;
        const std::size_t size = asio::buffer_size(buffers);
        // Nothing may leave in the middle of a frame.
        if (waiting_.empty() || torn_) {
            return void(next_.async_write_some(
                buffers, Sent<std::decay_t<Handler>>{this, size, std::forward<Handler>(handler)}));
        }
        write_some(buffers);
        leaving_.swap(waiting_);
        asio::async_write(next_, asio::buffer(leaving_),
                          Sent<std::decay_t<Handler>>{this, size, std::forward<Handler>(handler)});
    }

private:
    /// Notes what became of a write, for whom it is done.
    template <class Handler>
    struct Sent {
        using executor_type =
            boost::asio::associated_executor_t<Handler, typename Stream::executor_type>;
        using allocator_type = boost::asio::associated_allocator_t<Handler>;

        void operator()(const Error& error, std::size_t written) {
            if (!layer->leaving_.empty()) {
                layer->leaving_ = {};
                written = error ? 0 : size;
            }
            layer->torn_ = !error && written != size;
            handler(error, written);
        }
        [[nodiscard]] executor_type get_executor() const noexcept {
            return boost::asio::get_associated_executor(handler, layer->next_.get_executor());
        }
        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return boost::asio::get_associated_allocator(handler);
        }

        BeastGathered* layer;
        std::size_t size;
        Handler handler;
    };

    Stream next_;
    std::function<void()> on_teardown_{};
    Bytes waiting_;
    Bytes leaving_;      ///< with one write
    bool torn_ = false;  ///< the kernel took a part of a frame
};

/// The customization points of Beast, by which a stream ends.
template <class Stream>
void teardown(boost::beast::role_type role, BeastGathered<Stream>& stream,
              boost::system::error_code& error) {
    using boost::beast::websocket::teardown;
    teardown(role, stream.next_layer(), error);
}
template <class Stream, class Handler>
void async_teardown(boost::beast::role_type role, BeastGathered<Stream>& stream,
                    Handler&& handler) {
    using boost::beast::websocket::async_teardown;
    stream.tear_down();
    async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

}}}  // namespace belay::detail
