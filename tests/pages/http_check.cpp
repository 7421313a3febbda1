// SPDX-License-Identifier: MIT
// The client of docs/reference/http.md, over blocking calls of libcurl, keeps all rules of check::http.
#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>

#define main page_main
#include BELAY_HTTP_PAGE
#undef main

#include <belay/posix/http_check.hpp>

namespace {

using namespace std::chrono_literals;

/// The argument of libcurl's functions.
struct Curled {
    const HttpRequest& request;
    const Deliver& deliver;
    Instant due;
    HttpResponse head{};
    std::size_t taken = 0;
    bool reported = false;
    bool too_long = false;
    bool follows = false;
    std::string_view origin{};
    std::string next{};

    /// Whether the transfer continues.
    bool take(std::string_view piece) {
        if (!reported && leads_on()) return false;
        if (!std::exchange(reported, true) && !deliver(head, "")) return false;
        taken += piece.size();
        too_long = taken > request.body_bytes_max;
        return !too_long && (piece.empty() || deliver(head, piece));
    }
    bool leads_on() {
        const std::string* const to = follows ? head.headers.find("Location") : nullptr;
        if (to == nullptr) return false;
        std::string there = to->starts_with("/") ? std::string{origin} + *to : *to;
        if (there.substr(0, there.find('/', 8)) == origin) next = std::move(there);
        return !next.empty();
    }
};

std::size_t on_header(const char* text, std::size_t one, std::size_t size, void* at) {
    Curled& curled = *static_cast<Curled*>(at);
    std::string_view line{text, one * size};
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (line.starts_with("HTTP/")) {
        curled.head = {};
        std::from_chars(line.data() + 9, line.data() + 12, curled.head.status);
    } else if (line.empty() && curled.head.status >= 200) {
        return curled.take("") ? one * size : 0;
    } else if (colon != line.npos) {
        std::string value{
            line.substr(std::min(line.find_first_not_of(" ", colon + 1), line.size()))};
        value.erase(value.find_last_not_of(' ') + 1);
        curled.head.headers.add({std::string{line.substr(0, colon)}, value});
    }
    return one * size;
}
std::size_t on_body(const char* text, std::size_t one, std::size_t size, void* at) {
    return static_cast<Curled*>(at)->take({text, one * size}) ? one * size : 0;
}
void set(CURL* curl, Curled& curled) {
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &curled);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &curled);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, curled.request.method.c_str());
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    if (curled.request.body.empty()) return;
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, curled.request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(curled.request.body.size()));
}
std::string_view origin_of(std::string_view url) { return url.substr(0, url.find('/', 8)); }

/// One request, or the next request of a redirection.
CURLcode perform(const std::string& url, Curled& curled) {
    const Duration left = elapsed(SteadyClock{}.now(), curled.due);
    if (left <= Duration::zero()) return CURLE_OPERATION_TIMEDOUT;
    CURL* const curl = curl_easy_init();
    set(curl, curled);
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    if (curled.due != never) {
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(ms));
    }
    curl_slist* lines = curl_slist_append(nullptr, "Expect:");
    for (const auto& [name, value] : curled.request.headers) {
        lines = curl_slist_append(lines, (name + (value.empty() ? ";" : ": " + value)).c_str());
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    const CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(lines);
    curl_easy_cleanup(curl);
    return code;
}
HttpErrc meaning(CURLcode code, const Curled& curled) {
    if (curled.too_long) return HttpErrc::too_long;
    if (code == CURLE_OPERATION_TIMEDOUT) return HttpErrc::timed_out;
    return code == CURLE_COULDNT_CONNECT ? HttpErrc::not_connected : HttpErrc::lost;
}
bool is_plain(const HttpRequest& request) {
    const auto& allowed = belay::detail::is_header_name;
    return allowed(request.method) &&
           std::all_of(request.headers.begin(), request.headers.end(), [&](const auto& field) {
               return allowed(field.name) && belay::detail::is_header_value(field.value) &&
                      !belay::detail::is_same_name(field.name, "Content-Length") &&
                      !belay::detail::is_same_name(field.name, "Transfer-Encoding");
           });
}

/// The function in the place of blocking_call of the page.
HttpResponse curl_call(const HttpRequest& request, const Deliver& deliver) {
    const std::string& asked = request.url;
    if (!(asked.starts_with("http://") || asked.starts_with("https://")) ||
        asked.find_first_of("@ \r\n") != asked.npos || asked.find(":///") != asked.npos) {
        return {.failure = Failure::from(HttpErrc::bad_url), .sent = false};
    }
    if (!is_plain(request)) {
        return {.failure = Failure::from(HttpErrc::bad_text), .sent = false};
    }
    if (request.deadline <= Duration::zero()) {
        return {.failure = Failure::from(HttpErrc::timed_out), .sent = false};
    }
    const Instant due = after(SteadyClock{}.now(), request.deadline);
    std::string url = asked;
    for (int hops = 0;; ++hops) {
        Curled curled{request, deliver, due};
        // Only the last head is reported.
        curled.follows = request.redirects && hops < 3;
        curled.origin = origin_of(url);
        const CURLcode code = perform(url, curled);
        if (const std::string next = std::move(curled.next); !next.empty()) {
            url = next;
            continue;
        }
        if (code != CURLE_OK) curled.head.failure = Failure::from(meaning(code, curled));
        return curled.head;
    }
}

/// In the form of the page.
struct Rig {
    static inline Loop<> loop{};
    ThreadedHttp http{loop, curl_call};
    void run_once() {
        loop.run_until([] { return false; }, 1ms);
    }
};

}  // namespace

int main() {
    curl_global_init(CURL_GLOBAL_ALL);
    const auto broken = check::http([] { return std::make_unique<Rig>(); });
    std::puts(broken ? to_string(*broken) : "right");
    std::fflush(stdout);
    // Threads may still wait for a server that never answers.
    std::_Exit(broken ? 1 : 0);
}
