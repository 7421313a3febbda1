// SPDX-License-Identifier: MIT
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include <belay/link.hpp>
#include <belay/link/transport_check.hpp>  // by name: only tests need it
using namespace belay;

struct Library {  // stands for yours: what is sent comes back, a line at each step
    std::deque<std::string> lines;
    bool connected = false, broken = false;
};

// excerpt: begin
struct MyTransport {
    using message_type = std::string;  // moves without throwing

    class Connection {  // one attempt; what belongs to it lives here and dies with it
    public:
        Connection(MyTransport& owner, Link<std::string> link) : owner_{owner}, link_{link} {
            owner.library = {};  // dial: it reports later, from a callback
            owner.live = this;
        }
        ~Connection() { owner_.live = nullptr; }  // hangs up, forgets the callbacks, reports nothing

        SendResult send(const std::string& line) noexcept {
            Library& library = owner_.library;
            if (!library.connected || library.broken) return SendResult::down;
            if (library.lines.size() >= 8) return was_busy_ = true, SendResult::busy;
            return library.lines.push_back(line), SendResult::sent;
        }
        void resume_reading() noexcept {  // there is space again for what was rejected
            if (has_held_) has_held_ = link_.received(std::move(held_)) != driver::Post::taken;
        }
        void on_library_event() {  // what your library calls
            Library& library = owner_.library;
            if (library.broken) return over_ ? void() : (over_ = true, void(link_.closed()));
            if (!library.connected) return library.connected = true, void(link_.opened());
            if (has_held_ || library.lines.empty()) return;  // full: read no more
            held_ = std::move(library.lines.front()), library.lines.pop_front();
            link_.written();  // a line has left: a Heartbeat waits for a ping that is behind others
            has_held_ = link_.received(std::move(held_)) != driver::Post::taken;
            if (was_busy_) was_busy_ = false, link_.writable();
        }

    private:
        MyTransport& owner_;
        Link<std::string> link_;
        std::string held_;
        bool has_held_ = false, was_busy_ = false, over_ = false;
    };

    Connection open(Link<std::string> link) { return {*this, link}; }  // starts; never waits
    Library library{};
    Connection* live = nullptr;
};
static_assert(explain::transport_like<MyTransport>());  // prints what is missing
// excerpt: end
struct Rig {  // the transport, and a peer that sends everything back
    MyTransport transport;
    void run_once() {
        if (transport.live != nullptr) transport.live->on_library_event();
    }
    void hang_up() { transport.library.broken = true; }
};

int main() {
    const auto text = [](auto i) { return std::to_string(i) + std::string(100, 'x'); };
    // excerpt: begin
    const auto broken = check::transport([] { return std::make_unique<Rig>(); }, text);
    // excerpt: end
    return std::puts(broken ? to_string(*broken) : "a right transport") < 0 || broken;
}
