// SPDX-License-Identifier: MIT
// Goal: impossible options are rejected with exit code 2 and a helpful text. Method: a table of
// mistakes.
#include "support/catch.hpp"

#include "e2e/demo_fixture.hpp"

using e2e::Process;
using e2e::TestDirectory;

namespace {

struct Mistake {
    std::vector<std::string> words;
    const char* answer;
};

std::string lines(const std::vector<std::string>& all) {
    std::string text;
    for (const std::string& line : all) text.append(line).append(1, '\n');
    return text;
}

void refused(const Mistake& mistake) {
    std::vector<std::string> words = mistake.words;
    words.insert(words.begin(), e2e::outage);
    Process p{words};
    const int code = p.wait();
    INFO(p.text());
    CHECK(code == 2);
    CHECK(p.text().substr(0, 8) == "outage: ");
    CHECK(p.text().find(mistake.answer) != std::string::npos);
}

}  // namespace

TEST_CASE("outage rejects unknown and unreadable options", "[e2e][options][unit]") {
    const auto mistake = GENERATE(values<Mistake>({
        {{"--speed"}, "unknown option '--speed'; see outage --help"},
        {{"--kills"}, "--kills needs a value"},
        {{"--kills", "many"}, "--kills needs a whole number from 0 to 1000, not 'many'"},
        {{"--kills", "-1"}, "--kills needs a whole number"},
        {{"--kills=1001"}, "--kills needs a whole number"},
        {{"--freezes", "1.5"}, "--freezes needs a whole number"},
        {{"--client-kills", ""}, "--client-kills needs a whole number"},
        {{"--seed", "18446744073709551616"}, "--seed needs a whole number"},
        {{"--rate", "fast"}, "--rate needs lines per second"},
        {{"--rate", "-3"}, "--rate needs lines per second"},
        {{"--rate", "nan"}, "--rate needs lines per second"},
        {{"--dir", ""}, "--dir needs a path"},
        {{"--file="}, "--file needs a path"},
        {{"serve"}, "unknown command 'serve'"},
        {{"server"}, "outage server needs --port"},
        {{"server", "--port", "1"}, "outage server needs --dir"},
        {{"server", "--port", "65536", "--dir", "/tmp"}, "--port needs a whole number"},
        {{"client", "--file", "f", "--dir", "d"}, "outage client needs --connect"},
        {{"client", "--connect", "h:1", "--dir", "d"}, "outage client needs --file"},
        {{"client", "--connect", "h:1", "--file", "f"}, "outage client needs --dir"},
        {{"client", "--connect", "nowhere"}, "--connect needs HOST:PORT"},
        {{"client", "--connect", "h:0"}, "--connect needs HOST:PORT"},
        {{"client", "--connect", "::1:80"}, "--connect needs HOST:PORT"},
    }));
    refused(mistake);
}

TEST_CASE("outage rejects files that it cannot read or write", "[e2e][options][unit]") {
    const TestDirectory w;
    e2e::write(w / "file", "a line\n");
    e2e::write(w / "long", lines({"fine", std::string(65536, 'x'), std::string(65537, 'y')}));
    refused({{"--file", w / "missing", "--dir", w / "d"}, "/missing: No such file or directory"});
    refused({{"--file", w / "", "--dir", w / "d"}, "Is a directory; name a file"});
    refused({{"--file", w / "file", "--dir", w / "file"}, "name a directory"});
    refused({{"--file", w / "long", "--dir", w / "d"},
             "/long, line 3: 65537 bytes are too long; the limit is 65536"});
    // No file of it was created.
    CHECK_FALSE(std::filesystem::exists(w / "d/ledger.txt"));

    // A ledger of another program is not changed.
    std::filesystem::create_directory(w / "foreign");
    e2e::write(w / "foreign/ledger.txt", "my own book\n");
    refused({{"--file", w / "file", "--dir", w / "foreign"}, "was not made by this demo"});
    CHECK(e2e::read(w / "foreign/ledger.txt") == "my own book\n");
}

TEST_CASE("outage accepts the longest documented line", "[e2e][options][unit]") {
    const TestDirectory w;
    const std::string input = lines({std::string(65536, 'x'), std::string(65536, '\0'), ""});
    e2e::write(w / "long", input);
    Process p{{e2e::outage, "--file", w / "long", "--dir", w / "d", "--kills", "1", "--freezes",
               "0", "--client-kills", "0", "--rate", "0"}};
    const int code = p.wait();
    INFO(p.text());
    CHECK(code == 0);
    CHECK(e2e::ledger_equals(w / "d/ledger.txt", input));
}

TEST_CASE("outage --help names every option", "[e2e][options][unit]") {
    Process demo{{e2e::outage, "--help"}};
    CHECK(demo.wait() == 0);
    for (const char* const option :
         {"--file", "--seed", "--kills", "--freezes", "--client-kills", "--rate", "--dir"}) {
        CHECK(demo.text().find(option) != std::string::npos);
    }
    Process server{{e2e::outage, "server", "--help"}}, client{{e2e::outage, "client", "--help"}};
    CHECK(server.wait() == 0);
    CHECK(client.wait() == 0);
    CHECK(server.text().find("--port") != std::string::npos);
    CHECK(client.text().find("--connect") != std::string::npos);
}
