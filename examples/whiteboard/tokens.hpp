// SPDX-License-Identifier: MIT
// Tokens for the demo's users, as an identity provider would make them.
#pragma once

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <chrono>
#include <fstream>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

/// Without padding, as in JSON Web Tokens.
inline std::string base64url(std::string_view bytes) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    unsigned bits = 0, have = 0;
    for (const char c : bytes) {
        bits = (bits << 8U) | static_cast<unsigned char>(c);
        for (have += 8; have >= 6; have -= 6) out += digits[(bits >> (have - 6)) & 63U];
    }
    if (have != 0) out += digits[(bits << (6 - have)) & 63U];
    return out;
}

/// A token that names a user, and is valid for a week.
inline std::string token_of(std::string_view user, const std::string& secret) {
    using namespace std::chrono;
    const auto now = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
    const std::string output = base64url(R"({"alg":"HS256","typ":"JWT"})") + "." +
                               base64url(R"({"sub":")" + std::string{user} + R"(","exp":)" +
                                         std::to_string(now + 7 * 24 * 3600) + "}");
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(output.data()), output.size(), signature, &size);
    return output + "." + base64url({reinterpret_cast<const char*>(signature), size});
}

/// The secret in a file, which is made if there is none; empty where that cannot be.
inline std::string secret_in(const std::string& path) {
    {
        std::ifstream file{path, std::ios::binary};
        std::string secret{std::istreambuf_iterator<char>{file}, {}};
        if (secret.size() >= 32) return secret;
    }
    unsigned char bytes[32];
    if (RAND_bytes(bytes, sizeof bytes) != 1) return {};
    const std::string secret{reinterpret_cast<const char*>(bytes), sizeof bytes};
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return {};
    const bool written =
        ::write(file, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size());
    return ::close(file) == 0 && written ? secret : std::string{};
}
