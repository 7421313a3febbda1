// SPDX-License-Identifier: MIT
// The client of examples/websocket_client.cpp by hand, over Beast.
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdio>
#include <memory>
#include <string>
namespace net = boost::asio;
namespace ws = boost::beast::websocket;
using tcp = net::ip::tcp;
struct Client {
    net::io_context context;
    net::steady_timer timer{context};
    std::unique_ptr<ws::stream<boost::beast::tcp_stream>> stream;
    boost::beast::flat_buffer input;
    std::string host, target, word;
    unsigned short port;
    int answers;
    void dial() {
        stream = std::make_unique<ws::stream<boost::beast::tcp_stream>>(context);
        stream->set_option(ws::stream_base::timeout::suggested(boost::beast::role_type::client));
        boost::beast::get_lowest_layer(*stream).async_connect(
            tcp::endpoint{net::ip::make_address(host), port}, [this](auto error) {
                if (error) return again();
                stream->async_handshake(host, target, [this](auto e) {
                    if (e) return again();
                    stream->async_write(net::buffer(word),
                                        [this](auto f, std::size_t) { f ? again() : read(); });
                });
            });
    }
    void read() {
        stream->async_read(input, [this](auto error, std::size_t) {
            if (error) return again();
            std::printf("answer: %s\n", boost::beast::buffers_to_string(input.data()).c_str());
            input.clear();
            if (--answers != 0) read();
        });
    }
    void again() {
        timer.expires_after(std::chrono::seconds{1});
        timer.async_wait([this](auto error) {
            if (!error) dial();
        });
    }
};
int main(int count, char** a) {
    if (count != 5) return 2;
    Client c{.host = "127.0.0.1",
             .target = a[2],
             .word = a[3],
             .port = (unsigned short)std::atoi(a[1]),
             .answers = std::atoi(a[4])};
    c.dial();
    c.context.run();
}
