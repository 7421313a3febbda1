// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/beast_gathered.hpp
/// BeastGathered: a layer below a WebSocket stream that joins several frames into one write.
#pragma once

#include <chrono>       // std::chrono::steady_clock
#include <cstddef>      // std::ptrdiff_t, std::size_t
#include <cstdint>      // std::uint8_t
#include <functional>   // std::function
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket.hpp>

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Buffers synchronous writes, and sends them by send_now(), or before the next asynchronous write.
/// Beast writes whole frames one after the other, in both kinds of writes, so no frame is split.
///
/// A system call is most of the cost of a small frame, and an operation of asio is most of the
/// rest. A synchronous write here never blocks and never fails. The caller must bound the buffered
/// bytes, and must call send_now() or start an asynchronous write after them.
///
/// Thread safety: the thread that runs the context.
template <class Stream, class Clock = std::chrono::steady_clock>
class BeastGathered {
    using Error = boost::system::error_code;
    /// A write that takes longer has waited for the kernel.
    static constexpr std::chrono::milliseconds write_max{1};

public:
    using next_layer_type = Stream;
    using executor_type = typename Stream::executor_type;

    template <class... A>
    explicit BeastGathered(A&&... stream) : next_{std::forward<A>(stream)...} {}

    enum class Event : std::uint8_t {
        /// Beast starts to wait for the end of the stream, and sets no time limit for that wait.
        teardown,
        /// Output was written that had waited for space in the kernel.
        written
    };
    /// Sets `f`, which is called at each event.
    void on_event(std::function<void(Event)> f) { on_event_ = std::move(f); }
    void notify(Event event) {
        if (on_event_) on_event_(event);
    }

    [[nodiscard]] executor_type get_executor() noexcept { return next_.get_executor(); }
    [[nodiscard]] Stream& next_layer() noexcept { return next_; }
    [[nodiscard]] const Stream& next_layer() const noexcept { return next_; }

    template <class Buffers, class Handler>
    auto async_read_some(const Buffers& buffers, Handler&& handler) {
        return next_.async_read_some(buffers, std::forward<Handler>(handler));
    }
    /// belay never calls it; Beast requires it.
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
    /// Sends the buffered bytes as far as `socket`, which must be non-blocking, accepts them now.
    /// The next asynchronous write sends the rest first.
    ///
    /// Returns: whether all of them were sent. While an asynchronous write is under way, it sends
    /// nothing, and returns false.
    /// Errors: those of the socket, but not that it accepts nothing now.
    template <class Socket>
    [[nodiscard]] bool send_now(Socket& socket, Error& error) {
        namespace asio = boost::asio;
        error = {};
        if (writing_ || torn_) return false;
        if (waiting_.empty()) return true;
        const std::size_t sent = socket.write_some(asio::buffer(waiting_), error);
        if (error == asio::error::would_block || error == asio::error::try_again) error = {};
        if (error) return false;
        if (sent == waiting_.size()) {
            waiting_ = {};
            return true;
        }
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(sent));
        return false;
    }
    /// Writes the buffered bytes, and then `buffers`.
    template <class Buffers, class Handler>
    void async_write_some(const Buffers& buffers, Handler&& handler) {
        namespace asio = boost::asio;
        const std::size_t size = asio::buffer_size(buffers);
        writing_ = true;
        begun_ = Clock::now();
        // Buffered frames must not be written in the middle of a frame.
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
    /// Records the result of a write before it calls the handler of the caller.
    template <class Handler>
    struct Sent {
        using executor_type =
            boost::asio::associated_executor_t<Handler, typename Stream::executor_type>;
        using allocator_type = boost::asio::associated_allocator_t<Handler>;

        void operator()(const Error& error, std::size_t written) {
            layer->writing_ = false;
            if (!layer->leaving_.empty()) {
                layer->leaving_ = {};
                written = error ? 0 : size;
            }
            if (written != 0 && Clock::now() - layer->begun_ > write_max) {
                layer->notify(Event::written);
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
    std::function<void(Event)> on_event_{};
    Bytes waiting_;
    Bytes leaving_;                       ///< the bytes of the write that is under way
    bool torn_ = false;                   ///< the kernel accepted only a part of a frame
    bool writing_ = false;                ///< an asynchronous write is under way
    typename Clock::time_point begun_{};  ///< when it has begun
};

/// The customization points that Beast calls to end a stream.
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
    stream.notify(BeastGathered<Stream>::Event::teardown);
    async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

}}}  // namespace belay::detail
