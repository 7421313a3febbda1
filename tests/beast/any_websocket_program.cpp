// SPDX-License-Identifier: MIT
// A program over AnyWebSocket without its source file, which the linker reports by name.
#include <belay/beast/any_websocket.hpp>

int main() {
    boost::asio::io_context context;
    const belay::beast::AnyWebSocket socket{context, {"127.0.0.1", 80}};
    return static_cast<int>(socket.dial_report().size());
}
