// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <belay/call/policies.hpp>
#include <belay/link.hpp>
#include <belay/room.hpp>
#include <belay/room/document_check.hpp>
#include <belay/sim.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
/// A sign for the kind, and the payload.
struct TextProtocol {
    using Kind = part::RoomMessage::Kind;
    static constexpr std::string_view signs = ".?=+@#!";  // nothing, state_vector, state, ..., denied

    Result<part::RoomMessage> read(BytesView frame) const {
        const std::size_t kind = frame.empty() ? signs.npos : signs.find(as_text(frame).front());
        if (kind == signs.npos) return make_error_code(RoomErrc::unknown_message);
        return part::RoomMessage{static_cast<Kind>(kind), frame.subspan(1), {}};
    }
    Bytes write(const part::RoomMessage& message) const {
        std::string frame(1, signs[static_cast<std::size_t>(message.kind)]);
        frame += as_text(message.payload);
        return to_bytes(as_bytes(frame));
    }
};
static_assert(explain::room_protocol_like<TextProtocol>());
// excerpt: end

/// A set of words. An update, a state vector and a difference are words with spaces between them.
struct Words {
    Result<bool> check(BytesView update) const {
        if (update.size() > 100 || words.size() >= 10'000) return make_error_code(RoomErrc::update_too_large);
        const std::set<std::string> added = split(update);
        return !std::includes(words.begin(), words.end(), added.begin(), added.end());
    }
    std::error_code apply(BytesView update) {
        words.merge(split(update));
        stored = {state_vector()};
        return {};
    }
    std::span<const Bytes> snapshot() const { return stored; }
    std::size_t bytes() const noexcept { return stored.empty() ? 0 : stored[0].size(); }
    Bytes state_vector() const { return join(words); }
    Result<Bytes> diff(BytesView theirs) const {
        const std::set<std::string> known = split(theirs);
        std::set<std::string> lacks;
        std::set_difference(words.begin(), words.end(), known.begin(), known.end(), std::inserter(lacks, lacks.end()));
        return join(lacks);
    }

    static std::set<std::string> split(BytesView update) {
        std::istringstream text{std::string{as_text(update)}};
        return {std::istream_iterator<std::string>{text}, {}};
    }
    static Bytes join(const std::set<std::string>& words) {
        std::string text;
        for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
        return to_bytes(as_bytes(text));
    }
    std::set<std::string> words{};
    std::vector<Bytes> stored{};
};
static_assert(explain::document_like<Words>());

struct Server {
    explicit Server(sim::Host& host) : rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, NoObserver{}, Words{}} {
        host.attach(rooms);
        rooms.start();
        // excerpt: begin
        host.listen(9000,
                    [this](sim::Accepted client) { rooms.accept(std::move(client), TextProtocol{}, RoomRequest{.room_id = "words"}); });
        // excerpt: end
    }
    RoomManager<MemoryRooms, EveryoneEdits, NoObserver, Words> rooms;
};

struct Client {
    Client(sim::Host& host, std::string who, std::vector<std::string> adds)
        : name{std::move(who)}, words{std::move(adds)}, link{sim::Tcp{host, "server", 9000}, policies::reconnection(), std::ref(*this)} {
        host.attach(link);
        link.start();
    }
    void on_state(auto&, const Transition& change) {
        if (change.to.state != LinkState::connected) return;
        send("?");  // requests the document: at each connection
        for (const std::string& word : words) send("+" + word);
    }
    void on_message(auto&, const Bytes& frame) {
        if (as_text(frame) == "#") return send(".");  // a sign of life, or the server closes it
        std::printf("%s: %s\n", name.c_str(), std::string{as_text(frame)}.c_str());
    }
    void send(const std::string& frame) { static_cast<void>(link.send(to_bytes(as_bytes(frame)))); }

    std::string name;
    std::vector<std::string> words;
    Supervisor<sim::Tcp, decltype(policies::reconnection()), std::reference_wrapper<Client>> link;
};

int main() {
    // excerpt: begin
    const std::vector<Bytes> updates{to_bytes("one"), to_bytes("two")};
    if (const auto broken = check::document(Words{}, updates)) std::puts(to_string(*broken));
    // excerpt: end

    sim::World world{Seed{1}};
    world.host("server", [](sim::Host& host) { return std::make_unique<Server>(host); });
    const auto client = [&](const std::string& name, const std::vector<std::string>& words) {
        world.host(name, [=](sim::Host& host) { return std::make_unique<Client>(host, name, words); });
    };
    client("ada", {"one", "two"});
    world.run_for(5s);
    client("bob", {"three"});
    world.run_for(60s);
}
