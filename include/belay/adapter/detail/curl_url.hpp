// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/curl_url.hpp
/// CurlUrl: what a URL says of whom is asked, as libcurl reads it.
#pragma once

#include <string>   // std::string
#include <utility>  // std::exchange

#include <curl/curl.h>

#include <belay/http/detail/http_text.hpp>

namespace belay::inline BELAY_ABI::detail {

/// A URL as libcurl reads it, so that nobody reads it in another way than who sends the request.
///
/// Thread safety: distinct objects safe.
class CurlUrl {
public:
    explicit CurlUrl(const std::string& text) : parsed_{curl_url()} {
        // A NUL would end it early for libcurl alone.
        valid_ = parsed_ != nullptr && is_one_word(text) && set(text);
    }
    CurlUrl(const CurlUrl&) = delete;
    CurlUrl& operator=(const CurlUrl&) = delete;
    ~CurlUrl() { curl_url_cleanup(parsed_); }

    /// Whether it is absolute, of http or https, and has no credentials in it.
    [[nodiscard]] bool is_http() const {
        if (!valid_) return false;
        const std::string scheme = part(CURLUPART_SCHEME);
        return is_same_name(scheme, "http") || is_same_name(scheme, "https");
    }
    /// Where a `Location` leads from here.
    /// Returns: the absolute URL; empty if it is none, or of another scheme, host or port.
    [[nodiscard]] std::string within_origin(const std::string& location) {
        const std::string scheme = part(CURLUPART_SCHEME), host = part(CURLUPART_HOST),
                          port = part(CURLUPART_PORT);
        valid_ = valid_ && is_one_word(location) && set(location);
        const bool same = is_http() && is_same_name(scheme, part(CURLUPART_SCHEME)) &&
                          is_same_name(host, part(CURLUPART_HOST)) && port == part(CURLUPART_PORT);
        return same ? part(CURLUPART_URL) : std::string{};
    }

private:
    [[nodiscard]] bool set(const std::string& text) noexcept {
        return curl_url_set(parsed_, CURLUPART_URL, text.c_str(),
                            CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) == CURLUE_OK;
    }
    [[nodiscard]] std::string part(CURLUPart which) const {
        char* text = nullptr;
        // Also of a port that is not written.
        const unsigned flags = which == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
        if (curl_url_get(parsed_, which, &text, flags) != CURLUE_OK) return {};
        struct Freed {
            char* text;
            ~Freed() { curl_free(text); }
        } const freed{text};
        return text;
    }

    CURLU* parsed_;
    bool valid_ = false;
};

}  // namespace belay::inline BELAY_ABI::detail
