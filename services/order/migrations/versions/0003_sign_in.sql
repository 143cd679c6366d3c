CREATE TABLE sign_in_code (
    digest TEXT COLLATE "C" NOT NULL,
    sealed TEXT NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (digest)
);
