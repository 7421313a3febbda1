// SPDX-License-Identifier: MIT
// Goal: server-sent events are read as the standard specifies, however the bytes are cut, and
// within their limit. Method: the standard's own examples; properties compared with a separate
// simple parser; mutations of valid streams.
#include <belay/sync/event_stream.hpp>

#include <string>
#include <vector>

#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using Event = EventStream::Event;
using Events = std::vector<Event>;

/// The result of reading a stream.
struct ReceivedStream {
    Events events;
    std::string last_id;
    std::optional<Duration> retry;
    bool too_long = false;
    friend bool operator==(const ReceivedStream&, const ReceivedStream&) = default;
};

/// Reads pieces of these lengths, again and again in turn.
ReceivedStream read(std::string_view text,
                    const std::vector<std::size_t>& lengths = {std::string::npos},
                    std::size_t bytes_max = EventStream::default_bytes_max) {
    EventStream stream{bytes_max};
    ReceivedStream received;
    for (std::size_t i = 0; !text.empty(); ++i) {
        std::string_view piece = text.substr(0, lengths[i % lengths.size()]);
        text.remove_prefix(piece.size());
        while (auto event = stream.next(piece)) received.events.push_back(std::move(*event));
        REQUIRE(piece.empty());
    }
    received.last_id = stream.last_event_id();
    received.retry = stream.retry();
    received.too_long = stream.too_long();
    return received;
}

/// Reads a whole text by the standard's grammar, line by line, without limits.
ReceivedStream oracle(std::string text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    std::string lines;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        lines += text[i] == '\r' ? '\n' : text[i];
    }
    ReceivedStream received;
    std::vector<std::string> data;
    std::string type;
    std::string id;
    for (std::size_t end = 0; (end = lines.find('\n')) != lines.npos; lines.erase(0, end + 1)) {
        const std::string line = lines.substr(0, end);
        if (line.empty()) {
            received.last_id = id;
            std::string joined;
            for (const std::string& d : data) joined += d + "\n";
            if (!data.empty())
                received.events.push_back(
                    {type.empty() ? "message" : type, joined.substr(0, joined.size() - 1), id});
            data.clear();
            type.clear();
            continue;
        }
        const std::size_t colon = line.find(':');
        const std::string name = line.substr(0, colon);
        std::string value = colon == line.npos ? "" : line.substr(colon + 1);
        if (!value.empty() && value[0] == ' ') value.erase(0, 1);
        if (name == "data") data.push_back(value);
        if (name == "event") type = value;
        if (name == "id" && value.find('\0') == value.npos) id = value;
        const bool digits = !value.empty() && value.find_first_not_of("0123456789") == value.npos;
        if (name == "retry" && digits) {
            const std::string shortest = value.erase(0, value.find_first_not_of('0'));
            const bool huge = shortest.size() > 10 || std::stoll("0" + shortest) > 0xFFFFFFFF;
            received.retry =
                std::chrono::milliseconds{huge ? 0xFFFFFFFF : std::stoll("0" + shortest)};
        }
    }
    return received;
}

const std::vector<std::string> parts{"data",
                                     "data:",
                                     "data: x",
                                     "data:  y",
                                     "event",
                                     "event: e",
                                     "id",
                                     "id: 1",
                                     "id: 2",
                                     ": c",
                                     "retry: 10",
                                     "retry",
                                     "other",
                                     "other: z",
                                     "\n",
                                     "\n",
                                     "\r",
                                     "\r\n",
                                     "\n\n",
                                     " ",
                                     ":",
                                     "x",
                                     "\xEF\xBB\xBF",
                                     "retry: 1x",
                                     "\xFF",
                                     "d",
                                     std::string(1, '\0')};

std::string some_stream(const std::vector<unsigned>& picks) {
    std::string text;
    for (const unsigned pick : picks) text += parts[pick % parts.size()];
    return text;
}

}  // namespace

TEST_CASE("EventStream reads the standard's examples", "[sync][event_stream][golden]") {
    CHECK(
        read("data: This is the first message.\n\ndata: This is the second message, it\ndata: has "
             "two lines.\n\ndata: This is the third message.\n\n")
            .events == Events{{.data = "This is the first message."},
                              {.data = "This is the second message, it\nhas two lines."},
                              {.data = "This is the third message."}});
    CHECK(read("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: "
               "113411\n\n")
              .events == Events{{.type = "add", .data = "73857293"},
                                {.type = "remove", .data = "2153"},
                                {.type = "add", .data = "113411"}});
    CHECK(read("data: YHOO\ndata: +2\ndata: 10\n\n").events == Events{{.data = "YHOO\n+2\n10"}});
    // The second event has an id without a value, which resets the id. The last event is not
    // complete.
    const ReceivedStream ids = read(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event");
    CHECK(ids.events == Events{{.data = "first event", .id = "1"}, {.data = "second event"}});
    CHECK(ids.last_id.empty());
    CHECK(read("data\n\ndata\ndata\n\ndata:").events == Events{{.data = ""}, {.data = "\n"}});
    CHECK(read("data:test\n\ndata: test\n\n").events == Events{{.data = "test"}, {.data = "test"}});
}

TEST_CASE("EventStream: ends of lines, marks and fields", "[sync][event_stream][unit]") {
    CHECK(read("data: a\r\rdata: b\r\n\r\ndata: c\n\n").events ==
          Events{{.data = "a"}, {.data = "b"}, {.data = "c"}});
    // "\r\n" is one end of a line, also where it is cut.
    CHECK(read("data: a\r\ndata: b\r\n\r\n", {1}).events == Events{{.data = "a\nb"}});
    CHECK(read("\xEF\xBB\xBF"
               "data: a\n\n",
               {1})
              .events == Events{{.data = "a"}});
    // This counts only at the start. Elsewhere it begins another field.
    CHECK(read("data: a\n\n\xEF\xBB\xBF"
               "data: b\n\n")
              .events == Events{{.data = "a"}});
    CHECK(read("event: e\n\ndata: a\n\n").events == Events{{.data = "a"}});
    CHECK(read("Data: a\n\n data: a\n\n").events.empty());
    CHECK(read("").events.empty());
    // An id counts without data, too. An id with NUL is ignored.
    CHECK(read("id: 7\n\n").last_id == "7");
    CHECK(read("id: 7\n").last_id.empty());
    CHECK(read(std::string{"id: 7\n\nid: a\0b\n\n", 17}).last_id == "7");
    CHECK(read("retry: 1500\n").retry == 1500ms);
    CHECK(read("retry: 15 00\nretry: -1\nretry:\nretry\n").retry == std::nullopt);
    CHECK(read("retry: 99999999999999999999999\n").retry > 24h);
}

TEST_CASE("EventStream::next returns one event at a time", "[sync][event_stream][unit]") {
    EventStream stream;
    std::string_view bytes = "data: a\n\ndata: b\n\ndata: c";
    CHECK(stream.next(bytes) == Event{.data = "a"});
    CHECK(bytes == "data: b\n\ndata: c");
    CHECK(stream.next(bytes) == Event{.data = "b"});
    CHECK_FALSE(stream.next(bytes));
    CHECK(bytes.empty());
    CHECK_FALSE(stream.next(bytes));
    bytes = "\n\n";
    CHECK(stream.next(bytes) == Event{.data = "c"});
}

TEST_CASE("EventStream::restart discards a partial event, and keeps the id",
          "[sync][event_stream][unit]") {
    EventStream stream;
    std::string_view bytes =
        "retry: 10\nid: 1\ndata: a\n\nid: 2\nevent: e\ndata: half\ndata: of a li";
    CHECK(stream.next(bytes) == Event{.data = "a", .id = "1"});
    CHECK_FALSE(stream.next(bytes));
    stream.restart();
    CHECK(stream.last_event_id() == "1");
    CHECK(stream.retry() == 10ms);
    bytes =
        "\xEF\xBB\xBF"
        "data: b\n\n";
    CHECK(stream.next(bytes) == Event{.data = "b", .id = "1"});
    // If the last byte before the restart is a CR, an LF after it is not part of the same line end.
    bytes = "data: c\r";
    CHECK_FALSE(stream.next(bytes));
    stream.restart();
    bytes = "\ndata: d\n\n";
    CHECK(stream.next(bytes) == Event{.data = "d", .id = "1"});
}

TEST_CASE("EventStream reads no event beyond its limit, nor anything after it",
          "[sync][event_stream][unit]") {
    // "data: x" has seven bytes, of which the value and a line break are kept.
    CHECK(read("data: x\n\n", {1}, 7).events == Events{{.data = "x"}});
    for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::string::npos}) {
        const ReceivedStream over = read("data: x\n\ndata: xy\n\ndata: z\n\n", {piece}, 7);
        CHECK(over.events == Events{{.data = "x"}});
        CHECK(over.too_long);
    }
    // Many short lines make a long event.
    std::string many;
    for (int i = 0; i < 100; ++i) many += "data: x\n";
    CHECK(read(many + "\n", {1}, 100).too_long);
    CHECK_FALSE(read(many + "\n", {1}, 207).too_long);
    // A type, an id and an unknown field count, too. Comments do not.
    CHECK(read("event: " + std::string(100, 'e'), {1}, 100).too_long);
    CHECK(read("id: " + std::string(100, 'e'), {1}, 100).too_long);
    CHECK(read(std::string(101, 'e'), {1}, 100).too_long);
    CHECK_FALSE(read(":" + std::string(10'000, 'e') + "\ndata: x\n\n", {7}, 7).too_long);
    CHECK(read("data: x\n\n", {1}, 0).too_long);

    EventStream stream{3};
    std::string_view bytes = "data";
    CHECK_FALSE(stream.next(bytes));
    REQUIRE(stream.too_long());
    stream.restart();
    CHECK_FALSE(stream.too_long());
}

TEST_CASE("EventStream agrees with a simple parser of whole texts, however the bytes are cut",
          "[sync][event_stream][property]") {
    CHECK(rc::check("any stream, any cuts",
                    [](const std::vector<unsigned>& picks, std::vector<std::uint8_t> cuts) {
                        const std::string text = some_stream(picks);
                        std::vector<std::size_t> lengths;
                        for (const std::uint8_t cut : cuts) lengths.push_back(1U + cut % 9U);
                        if (lengths.empty()) lengths.push_back(1);
                        const ReceivedStream expected = oracle(text);
                        RC_ASSERT(read(text) == expected);
                        RC_ASSERT(read(text, lengths) == expected);
                    }));
    CHECK(rc::check("a cut at every byte", [](const std::vector<unsigned>& picks) {
        const std::string text = some_stream(picks);
        const ReceivedStream expected = oracle(text);
        for (std::size_t at = 0; at <= text.size(); ++at) {
            EventStream stream;
            ReceivedStream received;
            for (std::string_view piece :
                 {std::string_view{text}.substr(0, at), std::string_view{text}.substr(at)}) {
                while (auto event = stream.next(piece))
                    received.events.push_back(std::move(*event));
            }
            RC_ASSERT(received.events == expected.events);
            RC_ASSERT(stream.last_event_id() == expected.last_id);
            RC_ASSERT(stream.retry() == expected.retry);
        }
    }));
}

TEST_CASE("EventStream stops at its limit at the same event, however the bytes are cut",
          "[sync][event_stream][property]") {
    CHECK(rc::check("any limit, any cuts", [](const std::vector<unsigned>& picks,
                                              std::uint8_t limit, std::uint8_t cut) {
        const std::string text = some_stream(picks);
        const ReceivedStream whole = read(text, {std::string::npos}, limit % 40U);
        RC_ASSERT(read(text, {1U + cut % 9U}, limit % 40U) == whole);
        // A limit removes events at the end, and changes none.
        const Events all = oracle(text).events;
        RC_ASSERT(whole.events.size() <= all.size());
        RC_ASSERT(std::equal(whole.events.begin(), whole.events.end(), all.begin()));
        RC_ASSERT(whole.too_long || whole.events.size() == all.size());
    }));
}

TEST_CASE("EventStream survives bytes that are no event stream", "[sync][event_stream][fault]") {
    const std::string valid =
        "\xEF\xBB\xBF: hello\r\nid: 1\r\nevent: message\r\ndata: "
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"text\":\"\xC3\xA9\"}}\r\n\r\n"
        "retry: 3000\ndata: a\ndata: b\n\nid\ndata\n\n";
    belay_test::for_each_seed([&](Seed seed) {
        Random random{seed};
        std::string text = valid + valid;
        for (auto left = uniform_upto(random, 8); left != 0; --left) {
            const std::size_t at = uniform_upto(random, text.size() - 1);
            switch (uniform_upto(random, 3)) {
                case 0:
                    text[at] = static_cast<char>(uniform_upto(random, 255));
                    break;
                case 1:
                    text.erase(at, uniform_upto(random, 9));
                    break;
                case 2:
                    text.insert(at, text.substr(uniform_upto(random, text.size() - 1), 20));
                    break;
                default:
                    text.insert(at, 1, "\r\n:\0"[uniform_upto(random, 3)]);
            }
            if (text.empty()) text = "\n";
        }
        REQUIRE(read(text, {1U + uniform_upto(random, 30)}) == oracle(text));
        const std::size_t limit = uniform_upto(random, 200);
        const ReceivedStream limited = read(text, {1}, limit);
        for (const Event& event : limited.events) REQUIRE(event.data.size() <= limit);
    });
}
