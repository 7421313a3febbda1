// SPDX-License-Identifier: MIT
// Goal: beast_gathered sends frames whole and in order, with as few calls as possible. Method: a stream
// that accepts a part of each write, and records its bytes.
#include <belay/beast/detail/gathered.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "support/catch.hpp"

using belay::detail::BeastGathered;

namespace {

using GatheredError = boost::system::error_code;

/// A socket that accepts this many bytes.
struct NarrowSocket {
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers, GatheredError& error) {
        ++calls;
        error = fails;
        if (room == 0 && !error) error = boost::asio::error::would_block;
        if (error) return 0;
        std::string output(std::min(room, boost::asio::buffer_size(buffers)), '\0');
        boost::asio::buffer_copy(boost::asio::buffer(output), buffers);
        room -= output.size();
        writes->push_back(output);
        return output.size();
    }

    std::vector<std::string>* writes;
    std::size_t room = 1'000;
    GatheredError fails{};
    int calls = 0;
};

/// A kernel that accepts this much of each write, and reports when it has space again.
struct NarrowStream {
    using executor_type = boost::asio::io_context::executor_type;

    executor_type get_executor() noexcept { return context->get_executor(); }
    template <class Buffers, class Handler>
    void async_write_some(const Buffers& buffers, Handler handler) {
        std::string output(boost::asio::buffer_size(buffers), '\0');
        output.resize(
            std::min(room, boost::asio::buffer_copy(boost::asio::buffer(output), buffers)));
        writes->push_back(fails ? "" : output);
        boost::asio::post(*context, [this, n = output.size(), h = std::move(handler)]() mutable {
            fails ? h(boost::asio::error::broken_pipe, 0) : h(GatheredError{}, n);
        });
    }

    NarrowSocket& socket() noexcept { return *own_socket; }

    boost::asio::io_context* context;
    std::vector<std::string>* writes;
    NarrowSocket* own_socket;
    std::size_t room = 1'000;
    bool fails = false;
};

struct GatheredCase {
    boost::asio::io_context context{1};
    std::vector<std::string> writes{};
    NarrowSocket socket{&writes};
    BeastGathered<NarrowStream> layer{NarrowStream{&context, &writes, &socket}};
    std::vector<std::size_t> reported{};
    std::vector<GatheredError> errors{};

    void wait_with(std::string text) { layer.write_some(boost::asio::buffer(text)); }
    /// Writes a frame like Beast. `text` must outlive the call.
    void write(const std::string& text) {
        boost::asio::async_write(layer, boost::asio::buffer(text),
                                 [this](const GatheredError& error, std::size_t n) {
                                     reported.push_back(n);
                                     errors.push_back(error);
                                 });
    }
    /// Returns: whether no bytes are queued.
    [[nodiscard]] bool send_now() { return layer.send_now(refusal); }
    GatheredError refusal{};
    [[nodiscard]] std::string all() const {
        std::string text;
        for (const std::string& each : writes) text += each;
        return text;
    }
};

}  // namespace

TEST_CASE("beast_gathered: queued bytes are written with the next write, in order") {
    GatheredCase c;
    c.wait_with("one ");
    c.wait_with("two ");
    CHECK(c.writes.empty());
    const std::string three = "three";
    c.write(three);
    c.context.run();
    CHECK(c.writes == std::vector<std::string>{"one two three"});
    CHECK(c.reported == std::vector<std::size_t>{three.size()});
    CHECK_FALSE(c.errors[0]);
}

TEST_CASE("beast_gathered: queued bytes are never written in the middle of a frame") {
    GatheredCase c;
    c.layer.next_layer().room = 1;
    const std::string control = "control ";
    c.write(control);
    c.context.run_one();
    c.wait_with("first ");
    c.context.run();
    CHECK(c.all() == control);
    const std::string second = "second";
    c.write(second);
    c.context.restart();
    c.context.run();
    CHECK(c.all() == "control first second");
    CHECK(c.reported == std::vector<std::size_t>{control.size(), second.size()});
}

TEST_CASE("beast_gathered: bytes queued during a write are written with the next one") {
    GatheredCase c;
    c.layer.next_layer().room = 3;
    c.wait_with("one ");
    const std::string two = "two ";
    c.write(two);
    c.context.run_one();
    c.wait_with("three ");
    c.context.run();
    CHECK(c.all() == "one two ");
    const std::string four = "four";
    c.write(four);
    c.context.restart();
    c.context.run();
    CHECK(c.all() == "one two three four");
}

TEST_CASE("beast_gathered: an error is reported once, to the caller of the write") {
    GatheredCase c;
    c.layer.next_layer().fails = true;
    c.wait_with("lost ");
    const std::string text = "text";
    c.write(text);
    c.context.run();
    CHECK(c.reported == std::vector<std::size_t>{0});
    CHECK(c.errors[0] == boost::asio::error::broken_pipe);
}

TEST_CASE("beast_gathered: queued bytes are sent at once, by one call") {
    GatheredCase c;
    CHECK(c.send_now());
    CHECK(c.socket.calls == 0);
    c.wait_with("one ");
    c.wait_with("two");
    CHECK(c.send_now());
    CHECK(c.send_now());
    CHECK(c.writes == std::vector<std::string>{"one two"});
    CHECK(c.socket.calls == 1);
}

TEST_CASE("beast_gathered: the bytes that a socket does not accept are sent later, once") {
    GatheredCase c;
    c.socket.room = 5;
    c.wait_with("one two ");
    CHECK_FALSE(c.send_now());
    CHECK_FALSE(c.send_now());
    CHECK_FALSE(c.refusal);
    SECTION("by the next call") {
        c.wait_with("three");
        c.socket.room = 100;
        CHECK(c.send_now());
        CHECK(c.all() == "one two three");
    }
    SECTION("before an asynchronous write, during which there is no other write") {
        const std::string control = "control ";
        c.write(control);
        c.wait_with("three");
        c.socket.room = 100;
        CHECK_FALSE(c.send_now());
        c.context.run();
        CHECK(c.all() == "one two control ");
        CHECK(c.send_now());
        CHECK(c.all() == "one two control three");
    }
}

TEST_CASE("beast_gathered: nothing is sent in the middle of a frame") {
    GatheredCase c;
    c.layer.next_layer().room = 3;
    const std::string control = "control ";
    c.write(control);
    c.wait_with("message");
    while (c.all() != control) {
        CHECK_FALSE(c.send_now());
        c.context.run_one();
    }
    c.context.run();
    CHECK(c.send_now());
    CHECK(c.all() == "control message");
}

TEST_CASE("beast_gathered: an error of the socket is returned to the caller") {
    GatheredCase c;
    c.socket.fails = boost::asio::error::broken_pipe;
    c.wait_with("lost");
    CHECK_FALSE(c.send_now());
    CHECK(c.refusal == boost::asio::error::broken_pipe);
}

TEST_CASE("beast_gathered: only output that the socket did not accept before is reported") {
    GatheredCase c;
    c.layer.write_directly();
    int written = 0;
    c.layer.on_event([&](auto event) {
        if (event == decltype(c.layer)::Event::written) ++written;
    });
    const std::string text = "text";
    const auto run = [&] {
        c.context.restart();
        c.context.run();
    };
    SECTION("an asynchronous write that the socket accepts at once, and whose handler runs late") {
        c.write(text);
        c.wait_with("more ");
        CHECK_FALSE(c.send_now());  // a frame may be incomplete
        run();
        CHECK(c.send_now());
        CHECK(written == 0);
    }
    SECTION("an asynchronous write that the socket accepts in part") {
        c.socket.room = 1;
        c.write(text);
        run();
        CHECK(written == 1);
        CHECK(c.all() == text);
    }
    SECTION("an asynchronous write behind buffered bytes") {
        c.socket.room = 1;
        c.wait_with("one ");
        c.write(text);
        run();
        CHECK(written == 1);
        CHECK(c.all() == "one text");
    }
    SECTION("buffered bytes") {
        c.socket.room = 1;
        c.wait_with(text);
        CHECK_FALSE(c.send_now());
        CHECK_FALSE(c.send_now());
        CHECK(written == 0);
        c.socket.room = 2;
        CHECK_FALSE(c.send_now());
        CHECK(written == 1);
        c.socket.room = 2;
        CHECK(c.send_now());
        CHECK(written == 2);
        c.socket.room = 100;
        c.wait_with(text);
        CHECK(c.send_now());
        CHECK(written == 2);
    }
    SECTION("a write that fails") {
        c.socket.room = 0;
        c.layer.next_layer().fails = true;
        c.write(text);
        run();
        c.socket.fails = boost::asio::error::broken_pipe;
        c.write(text);
        run();
        CHECK(c.errors == std::vector<GatheredError>(2, boost::asio::error::broken_pipe));
        CHECK(written == 0);
    }
}
