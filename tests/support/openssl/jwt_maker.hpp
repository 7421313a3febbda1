// SPDX-License-Identifier: MIT
/// \file tests/support/openssl/jwt_maker.hpp
/// JwtMaker: valid and invalid tokens, signed with OpenSSL.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace belay_test {

struct JwtMaker {
    static std::string secret() { return "0123456789abcdef0123456789abcdef"; }

    static std::string base64url(std::string_view text) {
        std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
        const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                         reinterpret_cast<const unsigned char*>(text.data()),
                                         static_cast<int>(text.size()));
        out.resize(static_cast<std::size_t>(size));
        while (!out.empty() && out.back() == '=') out.pop_back();
        for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
        return out;
    }
    static std::string hs256(std::string_view payload,
                             std::string_view header = R"({"alg":"HS256","typ":"JWT"})",
                             const std::string& key = secret()) {
        const std::string text = base64url(header) + "." + base64url(payload);
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
        return text + "." + base64url({reinterpret_cast<const char*>(mac), size});
    }
};

/// A key pair of this many bits.
class RsaPair {
public:
    explicit RsaPair(unsigned bits) {
        EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nullptr);
        EVP_PKEY_keygen_init(context);
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, static_cast<int>(bits));
        EVP_PKEY* key = nullptr;
        EVP_PKEY_keygen(context, &key);
        EVP_PKEY_CTX_free(context);
        key_.reset(key);
    }
    std::string public_pem() const { return pem(&PEM_write_bio_PUBKEY); }
    std::string rs256(std::string_view payload,
                      std::string_view header = R"({"alg":"RS256"})") const {
        const std::string text = JwtMaker::base64url(header) + "." + JwtMaker::base64url(payload);
        EVP_MD_CTX* const context = EVP_MD_CTX_new();
        unsigned char signature[2048];
        std::size_t size = sizeof signature;
        EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get());
        EVP_DigestSign(context, signature, &size,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size());
        EVP_MD_CTX_free(context);
        return text + "." + JwtMaker::base64url({reinterpret_cast<const char*>(signature), size});
    }

private:
    template <class Write>
    std::string pem(Write write) const {
        BIO* const out = BIO_new(BIO_s_mem());
        write(out, key_.get());
        char* data = nullptr;
        const long size = BIO_get_mem_data(out, &data);
        std::string text{data, static_cast<std::size_t>(size)};
        BIO_free(out);
        return text;
    }
    struct Free {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    };
    std::unique_ptr<EVP_PKEY, Free> key_;
};

}  // namespace belay_test
